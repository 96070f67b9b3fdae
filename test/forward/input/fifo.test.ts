// The pipe's place: who can reach it, what is there, and what becomes of us when it can no longer be looked up.

import { execFileSync, spawnSync } from 'node:child_process'
import {
  chmodSync,
  closeSync,
  constants,
  mkdirSync,
  openSync,
  readFileSync,
  readSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
  writeSync,
} from 'node:fs'
import { describe, expect, it } from 'vitest'
import { ensureFifo, openFifo, whyGone } from '../../../src/forward/input/fifo.ts'
import { FatalError } from '../../../src/shared/errors.ts'
import { falcoNats, runFalcoNats, stopped } from '../../support/cli.ts'
import { writePipe } from '../../support/pipe.ts'
import { type TempDir, tempDir } from '../../support/temp.ts'
import { until } from '../../support/wait.ts'

const NOBODY = 65534
const isRoot = process.getuid!() === 0
if (!isRoot) console.warn('skipped: what needs another user, since only root can be one')

const mkfifo = (path: string) => execFileSync('mkfifo', ['-m', '0622', path])
const start = (pipe: string, ...more: string[]) =>
  falcoNats(['-f', pipe, '-s', 'nats://127.0.0.1:1', '--drain-timeout', '300ms', ...more])

describe('ensureFifo', () => {
  it('makes pipe and directories with their modes, and opens nothing', () => {
    using dir = tempDir()
    const path = dir.file('a/b/nats')
    ensureFifo(path)
    expect(statSync(path).isFIFO()).toBe(true)
    const modes = ['a', 'a/b', 'a/b/nats'].map((name) => statSync(dir.file(name)).mode & 0o7777)
    expect(modes).toEqual([0o711, 0o711, 0o622])
    expect(() => openSync(path, constants.O_WRONLY | constants.O_NONBLOCK)).toThrow(/ENXIO/)
  })

  it('does so under any umask', () => {
    using dir = tempDir()
    // A worker thread cannot set it: another process does.
    const fifo = new URL('../../../src/forward/input/fifo.ts', import.meta.url).pathname
    const code = `process.umask(0o077); import('${fifo}').then((fifo) => fifo.ensureFifo(process.argv[1]))`
    execFileSync(process.execPath, ['-e', code, dir.file('a/nats')])
    const modes = ['a', 'a/nats'].map((name) => statSync(dir.file(name)).mode & 0o7777)
    expect(modes).toEqual([0o711, 0o622])
  })

  it('leaves a pipe as it is', () => {
    using dir = tempDir()
    mkfifo(dir.file('nats'))
    chmodSync(dir.file('nats'), 0o600)
    const before = statSync(dir.file('nats'))
    ensureFifo(dir.file('nats'))
    const { ino, mode } = statSync(dir.file('nats'))
    expect({ ino, mode }).toEqual({ ino: before.ino, mode: before.mode })
  })

  it.each<[what: string, build: (path: string) => void, message: RegExp]>([
    [
      'a file',
      (path) => writeFileSync(path, 'x'),
      /is a regular file, which Falco makes where no pipe is/,
    ],
    ['a directory', (path) => mkdirSync(path), /is a directory; falco-nats never removes/],
    ['a device', (path) => symlinkSync('/dev/null', path), /is not a named pipe; falco-nats never/],
    [
      'a link to a file',
      (path) => {
        writeFileSync(`${path}.real`, 'x')
        symlinkSync(`${path}.real`, path)
      },
      /is not a named pipe; falco-nats never removes/,
    ],
    ['a circle', (path) => symlinkSync(path, path), /^cannot open the pipe .*ELOOP/],
  ])('throws a FatalError where %s is', (_, build, message) => {
    using dir = tempDir()
    build(dir.file('nats'))
    expect(() => ensureFifo(dir.file('nats'))).toThrow(FatalError)
    expect(() => ensureFifo(dir.file('nats'))).toThrow(message)
  })
})

it('opens a pipe that does not end when its writer goes, and is read without waiting', () => {
  using dir = tempDir()
  const fd = openFifo(dir.file('nats'))
  const read = () => {
    const buffer = Buffer.alloc(16)
    return buffer.toString('utf8', 0, readSync(fd, buffer))
  }
  for (const text of ['one', 'two']) {
    const writer = openSync(dir.file('nats'), 'a')
    writeSync(writer, text)
    closeSync(writer)
    expect(read()).toBe(text)
    expect(read).toThrow(/EAGAIN/)
  }
  closeSync(fd)
})

describe('whyGone', () => {
  it.each<[what: string, change: (path: string) => void, reason?: RegExp]>([
    ['is written to', (path) => writeFileSync(path, 'x')],
    ['has another mode', (path) => chmodSync(path, 0o600)],
    [
      'is removed',
      (path) => rmSync(path),
      /^was removed or replaced; start again to make it anew$/,
    ],
    [
      'is replaced',
      (path) => {
        renameSync(path, `${path}.old`)
        mkfifo(path)
      },
      /^was removed or replaced; start again to make it anew$/,
    ],
    [
      'is removed, and Falco makes a file',
      (path) => {
        rmSync(path)
        writeFileSync(path, 'x')
      },
      /^was removed, and Falco has made a regular file there; start again with --adopt-file$/,
    ],
    [
      'leads in circles',
      (path) => {
        rmSync(path)
        symlinkSync(path, path)
      },
      /^can no longer be looked up: ELOOP/,
    ],
  ])('of a pipe that %s', (_, change, reason) => {
    using dir = tempDir()
    const fd = openFifo(dir.file('nats'))
    expect(whyGone(dir.file('nats'), fd)).toBeUndefined()
    change(dir.file('nats'))
    const why = whyGone(dir.file('nats'), fd)
    if (reason) expect(why).toMatch(reason)
    else expect(why).toBeUndefined()
    closeSync(fd)
  })
})

describe('the directory that we make', () => {
  it.skipIf(!isRoot)('lets Falco write, and others neither list nor replace', async () => {
    using dir = tempDir()
    chmodSync(dir.path, 0o755)
    await using running = start(dir.file('a/nats'))
    await running.logged('reading')
    const asNobody = (shell: string) =>
      spawnSync('/bin/sh', ['-c', shell], { cwd: dir.path, uid: NOBODY, gid: NOBODY }).status
    expect(asNobody('echo > a/nats')).toBe(0)
    expect(asNobody('ls a')).not.toBe(0)
    expect(asNobody('rm -f a/nats')).not.toBe(0)
    expect(asNobody('cat < a/nats')).not.toBe(0)
  })
})

it('is not opened when the spool is in use, so that Falco goes on waiting', async () => {
  using dir = tempDir()
  const spool = ['--spool-dir', dir.file('spool')]
  await using first = start(dir.file('first'), ...spool)
  await first.logged('reading')
  mkfifo(dir.file('nats'))
  await using writing = await writePipe(dir.file('nats'), 'numbered:10', 0)
  await until('the writer waits for a reader', () =>
    readFileSync(`/proc/${writing.child.pid}/wchan`, 'utf8').includes('wait_for_partner'),
  )
  const { code, stderr } = await runFalcoNats(['-f', dir.file('nats'), ...spool])
  expect(stderr).toContain('is in use by another process')
  expect(code).toBe(1)
  await stopped(first)
  await using second = start(dir.file('nats'), ...spool)
  expect(await writing.done()).toBe(0)
  expect((await stopped(second)).last).toMatchObject({ read: 10, spooled: 10 })
})

describe('while the pipe is read', () => {
  it.each<[how: string, spoil: (dir: TempDir) => void, reason: RegExp]>([
    [
      'leads in circles',
      (dir) => {
        renameSync(dir.file('x'), dir.file('y'))
        symlinkSync(dir.file('x'), dir.file('x'))
      },
      /can no longer be looked up: ELOOP/,
    ],
    ['is gone', (dir) => rmSync(dir.file('x'), { recursive: true }), /was removed or replaced/],
  ])('ends in order when its directory %s, though no server is there', async (_, spoil, reason) => {
    using dir = tempDir()
    await using running = start(dir.file('x/nats'))
    await using writing = await writePipe(dir.file('x/nats'), 'numbered:5', 0)
    expect(await writing.done()).toBe(0)
    await running.logged('cannot connect')
    spoil(dir)
    expect(await running.exited()).toBe(1)
    const last = running.log().at(-1)!
    expect(last.msg).toMatch(/^done: 5 alerts were lost \(the pipe .*, 5 not delivered in time\)$/)
    expect(last.msg).toMatch(reason)
    expect(last).toMatchObject({ read: 5, left: 5 })
  })
})
