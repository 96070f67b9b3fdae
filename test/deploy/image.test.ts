// The container image: what the Dockerfile says, the mkfifo that it carries, and, where the machine
// can build and run images, the real thing.

import { execFileSync, spawnSync } from 'node:child_process'
import { chmodSync, existsSync, readFileSync, statSync } from 'node:fs'
import { beforeAll, describe, expect, it } from 'vitest'
import { falcoNats, runFalcoNats } from '../support/cli.ts'
import { fixture, fixturePath } from '../support/fixtures.ts'
import { BUILD_TIMEOUT_MS, buildImage, canRunImages, terminate } from '../support/image.ts'
import { startNats, subscribe } from '../support/nats.ts'
import { writePipe } from '../support/pipe.ts'
import { tempDir } from '../support/temp.ts'

const fileOf = (name: string) => new URL(`../../${name}`, import.meta.url)
const textOf = (name: string) => readFileSync(fileOf(name), 'utf8')

describe('the Dockerfile', () => {
  /** Instructions as [name, words], with continued lines joined. */
  const instructions = textOf('Dockerfile')
    .replace(/^\s*#.*\n/gm, '')
    .replace(/\\\n\s*/g, '')
    .split('\n')
    .filter(Boolean)
    .map((line) => line.replace('--platform=$BUILDPLATFORM ', '').split(' '))
    .map(([name, ...words]) => [name!, words] as const)
  const all = (name: string) => instructions.flatMap(([n, words]) => (n === name ? [words] : []))
  const final = instructions.slice(instructions.findLastIndex(([name]) => name === 'FROM'))

  it('copies what is there, is let in by .dockerignore, or is from a stage', () => {
    const letIn = [...textOf('.dockerignore').matchAll(/^!(.+)$/gm)].map((match) => match[1]!)
    const stages = all('FROM').flatMap((words) => (words[1] === 'AS' ? [words[2]] : []))
    const copies = all('COPY')
    expect(copies.length).toBeGreaterThan(4)
    for (const [first, ...rest] of copies)
      if (first!.startsWith('--from=')) expect(stages).toContain(first!.slice('--from='.length))
      else
        for (const source of [first!, ...rest.slice(0, -1)]) {
          expect(existsSync(fileOf(source)), source).toBe(true)
          expect(
            letIn.some((path) => `${source}/`.startsWith(`${path}/`)),
            source,
          ).toBe(true)
        }
  })

  it('ends in a base without a shell, as a user who is not root', () => {
    expect(final[0]![1]).toEqual([expect.stringMatching(/^gcr\.io\/distroless\/nodejs\d+-debian/)])
    expect(final.map(([name]) => name)).not.toContain('RUN')
    expect(final.findLast(([name]) => name === 'USER')![1]).toEqual(['65532:65532'])
    const [, entrypoint] = final.find(([name]) => name === 'ENTRYPOINT')!
    expect(JSON.parse(entrypoint.join(' '))).toEqual([
      '/nodejs/bin/node',
      '/falco-nats/falco-nats.js',
    ])
  })

  it('builds on glibc with the Node.js that it runs on, with the locked packages', () => {
    const bases = all('FROM').map(([base]) => base!)
    expect(bases.join(' ')).not.toMatch(/alpine|latest/)
    const majors = bases.join(' ').match(/(?<=node(js|:))\d+/g)!
    expect(majors).toHaveLength(2)
    expect(new Set(majors).size).toBe(1)
    expect(all('RUN').some(([npm, ci]) => npm === 'npm' && ci === 'ci')).toBe(true)
  })

  it('says what the image is', () => {
    const labels = all('LABEL').flat().join(' ')
    for (const name of ['title', 'description', 'licenses', 'version', 'revision', 'created'])
      expect(labels).toContain(`org.opencontainers.image.${name}=`)
  })
})

const compiler = spawnSync('cc', ['--version']).status === 0
if (!compiler) console.warn('skipped: the mkfifo of the image, since there is no C compiler (cc)')

describe.skipIf(!compiler)('the mkfifo of the image', () => {
  it('makes a pipe of the mode that is asked for, or says why not', () => {
    using dir = tempDir()
    const [program, pipe] = [dir.file('mkfifo'), dir.file('-pipe')]
    execFileSync('cc', [
      '-Wall',
      '-Werror',
      '-o',
      program,
      fileOf('deploy/image/mkfifo.c').pathname,
    ])
    const mkfifo = (...args: string[]) => spawnSync(program, args, { encoding: 'utf8' })
    expect(mkfifo('-m', '0622', '--', pipe)).toMatchObject({ status: 0, stderr: '' })
    expect(statSync(pipe).isFIFO()).toBe(true)
    expect(statSync(pipe).mode & 0o7777).toBe(0o622)
    const again = mkfifo('-m', '0622', '--', pipe)
    expect(again).toMatchObject({ status: 1, stderr: 'mkfifo: File exists\n' })
    expect(mkfifo(pipe)).toMatchObject({ status: 2, stderr: expect.stringContaining('usage') })
  })
})

if (!canRunImages)
  console.warn('skipped: the built image, since IMAGE_BUILD and IMAGE_RUN name no commands')

/** No port is taken; what runs the image hands no environment in. */
const SILENT = ['--metrics-address', 'off']

describe.skipIf(!canRunImages)('the built image', () => {
  let program: string[]
  beforeAll(async () => {
    program = await buildImage('falco-nats:image-test')
  }, BUILD_TIMEOUT_MS)

  it('says its version', async () => {
    const { code, stdout } = await runFalcoNats(['--version'], { program })
    expect(code).toBe(0)
    expect(stdout.toString().trim()).toBe(JSON.parse(textOf('package.json')).version)
  })

  it('forwards standard input', async () => {
    await using server = await startNats()
    await using subscriber = await subscribe(server.url)
    const { code, log } = await runFalcoNats(['-f', '-', '-s', server.url, ...SILENT], {
      program,
      input: fixture('alerts.jsonl'),
    })
    expect(log.at(-1)).toMatchObject({ delivered: 300 })
    expect(code).toBe(0)
    await subscriber.count(300)
  })

  it('makes the pipe in a mounted directory, not as root, and takes Falco’s alerts from it', async () => {
    using dir = tempDir()
    chmodSync(dir.path, 0o777)
    await using server = await startNats()
    await using subscriber = await subscribe(server.url)
    await using running = falcoNats(['-f', '/shared/nats', '-s', server.url, ...SILENT], {
      program,
      env: { VOLUMES: `${dir.path}:/shared` },
    })
    await running.logged('reading')
    expect(statSync(dir.file('nats'))).toMatchObject({ uid: 65532, gid: 65532 })
    await using writing = await writePipe(dir.file('nats'), fixturePath('alerts.jsonl'), 'falco')
    expect(await writing.done()).toBe(0)
    await terminate(running.child.pid!)
    expect(await running.exited()).toBe(0)
    expect(running.log().at(-1)).toMatchObject({ read: 300, delivered: 300 })
    await subscriber.count(300)
  })
})
