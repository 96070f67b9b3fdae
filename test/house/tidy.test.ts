// House rules that a machine can keep: which folder may import which, no circles, no dead modules, short files.

import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { posix } from 'node:path'
import { describe, expect, it } from 'vitest'

/** A folder may import these folders, and itself. `x/*` is every folder below x, and x. */
const MAY_IMPORT: Record<string, readonly string[]> = {
  shared: ['shared/*'],
  'shared/alert': ['shared'],
  'shared/nats': ['shared/*'],
  'shared/options': ['shared'],
  'shared/process': ['shared'],
  'forward/input': ['shared/*'],
  'forward/accounting': ['shared/*'],
  'forward/encoding': ['forward/accounting', 'shared/*'],
  'forward/buffer': [
    'forward/buffer/spool',
    'forward/input',
    'forward/encoding',
    'forward/accounting',
    'shared/*',
  ],
  'forward/buffer/spool': ['forward/encoding', 'forward/accounting', 'shared/*'],
  'forward/delivery': ['forward/buffer', 'forward/encoding', 'forward/accounting', 'shared/*'],
  'forward/delivery/jetstream': [
    'forward/delivery',
    'forward/encoding',
    'forward/accounting',
    'shared/*',
  ],
  'forward/telemetry': ['forward/delivery', 'forward/buffer', 'forward/accounting', 'shared/*'],
  forward: ['forward/*', 'shared/*'],
  'respond/kubernetes': ['shared/*'],
  'respond/steps': ['respond/kubernetes', 'shared/*'],
  'respond/playbook': ['respond/steps', 'respond/kubernetes', 'shared/*'],
  'respond/engine': ['respond/playbook', 'respond/steps', 'respond/kubernetes', 'shared/*'],
  'respond/intake': ['respond/engine', 'respond/playbook', 'respond/steps', 'shared/*'],
  respond: ['respond/*', 'shared/*'],
}

const LINES_MAX = 250
const LINES_MIN = 15
/** Where a program starts; and what is reached by no import. */
const ENTRIES = ['forward/main.ts', 'respond/main.ts']

const SRC = new URL('../../src/', import.meta.url)
const filesIn = (url: URL, end: string) =>
  readdirSync(url, { recursive: true, encoding: 'utf8' })
    .filter((file) => file.endsWith(end))
    .sort()
const files = filesIn(SRC, '.ts')
const texts = new Map(files.map((file) => [file, readFileSync(new URL(file, SRC), 'utf8')]))

/** Files of src that a file imports: values and types, now or later. */
const importsOf = (file: string): string[] =>
  [...texts.get(file)!.matchAll(/(?:from |import\(|import )'(\.[^']+\.ts)'/g)].map((match) =>
    posix.join(posix.dirname(file), match[1]!),
  )
const imports = new Map(files.map((file) => [file, importsOf(file)]))

const covers = (pattern: string, folder: string) =>
  pattern.endsWith('/*') ? `${folder}/`.startsWith(pattern.slice(0, -1)) : pattern === folder

it('has a row for each folder, and a folder for each row', () => {
  const folders = new Set(files.map((file) => posix.dirname(file)))
  expect(Object.keys(MAY_IMPORT).sort()).toEqual([...folders].sort())
})

describe.each(files)('src/%s', (file) => {
  it('imports only from folders that its own may import', () => {
    const folder = posix.dirname(file)
    const allowed = [folder, ...MAY_IMPORT[folder]!]
    const strays = imports
      .get(file)!
      .filter((imported) => !allowed.some((pattern) => covers(pattern, posix.dirname(imported))))
    expect(strays).toEqual([])
  })

  it('is not behind anything that it imports, types included', () => {
    const seen = new Set<string>()
    const reach = (from: string): void => {
      for (const next of imports.get(from)!) {
        if (seen.has(next)) continue
        seen.add(next)
        reach(next)
      }
    }
    reach(file)
    expect(seen).not.toContain(file)
  })

  it('is used, begins with what it is, and can be read in one sitting', () => {
    const text = texts.get(file)!
    const lines = text.split('\n').length - 1
    const isUsed = [...imports.values()].some((imported) => imported.includes(file))
    expect(isUsed || ENTRIES.includes(file)).toBe(true)
    expect(text.replace(/^#!.*\n+/, '')).toMatch(/^\/\/ [A-Za-z`-]/)
    expect(lines).toBeLessThanOrEqual(LINES_MAX)
    if (!file.endsWith('/index.ts')) expect(lines).toBeGreaterThanOrEqual(LINES_MIN)
  })
})

/** Tests of the program as a whole, of what it is deployed with, and of the house. */
const WHOLE = /^(process|faults|falco|deploy|house|simulation)\//

it('has tests in the folders of the sources', () => {
  const tested = filesIn(new URL('../', import.meta.url), '.test.ts').map((file) =>
    file.replace('.test.ts', '.ts'),
  )
  expect(tested.filter((file) => !texts.has(file) && !WHOLE.test(file))).toEqual([])
})

it('names the documents that it promises', () => {
  for (const name of ['README.md', 'ARCHITECTURE.md', 'CHANGELOG.md', 'LICENSE'])
    expect(existsSync(new URL(`../../${name}`, import.meta.url))).toBe(true)
})

const ROOT = new URL('../../', import.meta.url)
const DOCUMENTS = [
  'ARCHITECTURE.md',
  ...filesIn(new URL('docs/', ROOT), '.md').map((file) => `docs/${file}`),
]

it.each(DOCUMENTS)('names in %s only files that are there', (document) => {
  const there = ['src', 'test', 'deploy', 'bench'].flatMap((folder) =>
    readdirSync(new URL(`${folder}/`, ROOT), { recursive: true, encoding: 'utf8' }).map(
      (file) => `/${folder}/${file}`,
    ),
  )
  const named = readFileSync(new URL(document, ROOT), 'utf8').matchAll(
    /`([\w./-]+\.(?:ts|cjs|wat))`/g,
  )
  const missing = [...named].filter(([, name]) => !there.some((file) => file.endsWith(`/${name}`)))
  expect(missing.map(([, name]) => name)).toEqual([])
})
