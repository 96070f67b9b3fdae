// House rules that a machine can keep: which module may import which, no dead modules, short files.

import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'

/** From the process edge to plain functions. A module may import only what stands behind it. */
const ORDER = [
  'main',
  'cli',
  'check',
  'forward',
  'watch',
  'metrics',
  'metric-table',
  'endpoint',
  'health',
  'pressure',
  'sample',
  'summary',
  'dry-run',
  'trim',
  'publisher',
  'backlog',
  'disk',
  'spool',
  'row',
  'database',
  'wal',
  'jetstream',
  'acks',
  'outbox',
  'stream',
  'troubles',
  'stream-settings',
  'courier',
  'connection',
  'session',
  'source',
  'aside',
  'fifo',
  'intake',
  'encode',
  'batch',
  'kinds',
  'scan',
  'marks',
  'falco-events',
  'time',
  'credentials',
  'options',
  'option',
  'values',
  'headers',
  'print',
  'end',
  'log',
  'output',
  'lines',
  'subject',
  'servers',
  'transport',
  'wire',
  'stats',
  'histogram',
  'alert',
  'units',
  'backoff',
  'wakeup',
  'random',
  'signals',
  'errors',
]

const sources = readdirSync(new URL('../../src', import.meta.url))
  .filter((file) => file.endsWith('.ts'))
  .map((file) => file.replace('.ts', ''))
const textOf = (name: string) => readFileSync(new URL(`../src/${name}.ts`, import.meta.url), 'utf8')
const importsOf = (name: string) =>
  [...textOf(name).matchAll(/(?:from |import\()'\.\/([a-z-]+)\.ts'/g)].map((match) => match[1]!)

it('knows every module', () => {
  expect([...sources].sort()).toEqual([...ORDER].sort())
})

describe.each(ORDER)('src/%s.ts', (name) => {
  it('imports only from behind it', () => {
    const allowed = ORDER.slice(ORDER.indexOf(name) + 1)
    expect(importsOf(name).filter((imported) => !allowed.includes(imported))).toEqual([])
  })

  it('is used, begins with what it is, and can be read in one sitting', () => {
    if (name !== 'main') expect(ORDER.some((other) => importsOf(other).includes(name))).toBe(true)
    expect(textOf(name).replace(/^#!.*\n/, '')).toMatch(/^\/\/ [A-Z`-]/)
    expect(textOf(name).split('\n').length).toBeLessThan(300)
  })
})

const RESPOND = new URL('../../src/respond/', import.meta.url)
const respond = readdirSync(RESPOND, { recursive: true, encoding: 'utf8' }).filter((file) =>
  file.endsWith('.ts'),
)

describe.each(respond)('src/respond/%s', (file) => {
  const text = readFileSync(new URL(file, RESPOND), 'utf8')
  const imported = [...text.matchAll(/(?:from |import\()'(\.[^']+\.ts)'/g)].map(
    (match) => new URL(match[1]!, new URL(file, RESPOND)).href,
  )

  it('begins with what it is, and can be read in one sitting', () => {
    expect(text.replace(/^#!.*\n/, '')).toMatch(/^\/\/ [A-Za-z`-]/)
    expect(text.split('\n').length).toBeLessThan(300)
  })

  it('takes from the forwarder only what neither reads pipes nor publishes', () => {
    const shared = imported
      .filter((href) => !href.startsWith(RESPOND.href))
      .map((href) => href.replace(/.*\//, '').replace('.ts', ''))
    const allowed = ORDER.slice(ORDER.indexOf('credentials')).concat('endpoint', 'cli')
    expect(shared.filter((name) => !allowed.includes(name))).toEqual([])
  })

  it('is not behind anything that it imports', () => {
    const seen = new Set<string>()
    const reach = (href: string): void => {
      if (seen.has(href) || !href.startsWith(RESPOND.href)) return
      seen.add(href)
      const next = readFileSync(new URL(href), 'utf8')
      for (const match of next.matchAll(/^import (?!type).*from '(\.[^']+\.ts)'/gm))
        reach(new URL(match[1]!, href).href)
    }
    for (const match of text.matchAll(/^import (?!type)[^']*from '(\.[^']+\.ts)'/gm))
      reach(new URL(match[1]!, new URL(file, RESPOND)).href)
    expect(seen).not.toContain(new URL(file, RESPOND).href)
  })
})

it('knows nothing of the responder in the forwarder', () => {
  for (const name of ORDER) expect(textOf(name)).not.toContain("from './respond/")
})

it('has tests that mirror the sources', () => {
  const tested = readdirSync(new URL('.', import.meta.url)).filter((file) =>
    file.endsWith('.test.ts'),
  )
  const whole = [
    'bundle',
    'readme',
    'tidy',
    'fuzz',
    'outage',
    'rotation',
    'stop',
    'memory',
    'faults',
    'soak',
    'prometheus',
    'deploy-chart',
    'deploy-manifests',
    'deploy-respond',
    'image',
    'examples',
    'examples-respond',
    'systemd',
    'pod',
  ]
  const strays = tested
    .map((file) => file.replace('.test.ts', ''))
    .filter((name) => !sources.includes(name) && !whole.includes(name))
  expect(strays).toEqual([])
})

it('names the documents that it promises', () => {
  for (const name of ['README.md', 'ARCHITECTURE.md', 'CHANGELOG.md', 'LICENSE'])
    expect(existsSync(new URL(`../${name}`, import.meta.url))).toBe(true)
})
