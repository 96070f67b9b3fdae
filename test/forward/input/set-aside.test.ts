// What keeps the pipe from being set aside at a stop, and what setting it aside leaves behind.

import { execFileSync, spawnSync } from 'node:child_process'
import {
  chmodSync,
  chownSync,
  closeSync,
  existsSync,
  mkdirSync,
  openSync,
  readdirSync,
  readSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
  writeSync,
} from 'node:fs'
import { dirname } from 'node:path'
import { describe, expect, it } from 'vitest'
import { openFifo } from '../../../src/forward/input/fifo.ts'
import { setAside, whyNotAside } from '../../../src/forward/input/set-aside.ts'
import { falcoNats, MAIN, runFalcoNats, stopped } from '../../support/cli.ts'
import { startNats } from '../../support/nats.ts'
import { type TempDir, tempDir } from '../../support/temp.ts'

const NOBODY = 65534
const isRoot = process.getuid!() === 0
if (!isRoot) console.warn('skipped: what needs another user, since only root can be one')
const canMount = spawnSync('unshare', ['-m', 'true']).status === 0
if (!canMount) console.warn('skipped: a pipe that is mounted, since unshare -m is not allowed')

const mkfifo = (path: string) => execFileSync('mkfifo', ['-m', '0622', path])
const inode = (path: string) => statSync(path).ino
const start = (pipe: string) =>
  falcoNats(['-f', pipe, '-s', 'nats://127.0.0.1:1', '--drain-timeout', '300ms'])

describe('setAside', () => {
  it('puts a pipe of the same mode in place, and gives a reader of the old one', () => {
    using dir = tempDir()
    const path = dir.file('nats')
    mkfifo(path)
    chmodSync(path, 0o640)
    const fd = openFifo(path)
    const [before, writer] = [inode(path), openSync(path, 'r+')]
    writeSync(writer, 'old\n')
    const reader = setAside(path, fd)
    expect(statSync(path).isFIFO()).toBe(true)
    expect(inode(path)).not.toBe(before)
    expect(statSync(path).mode & 0o7777).toBe(0o640)
    expect(readdirSync(dir.path)).toEqual(['nats'])
    const buffer = Buffer.alloc(64)
    expect(buffer.toString('utf8', 0, readSync(reader, buffer))).toBe('old\n')
    // Only a reader: when the last writer goes, the old pipe ends.
    for (const open of [fd, writer]) closeSync(open)
    expect(readSync(reader, buffer)).toBe(0)
    closeSync(reader)
  })

  it.each<[what: string, build: (path: string) => void, reason: RegExp]>([
    [
      'another pipe is at its path',
      (path) => {
        renameSync(path, `${path}.moved`)
        mkfifo(path)
      },
      /^something else is at its path$/,
    ],
    ['a file is in the way', (path) => writeFileSync(`${path}.next`, 'precious'), /File exists/],
    ['nothing is at its path', (path) => rmSync(path), /ENOENT/],
  ])('changes nothing when %s', (_, build, reason) => {
    using dir = tempDir()
    const path = dir.file('nats')
    const fd = openFifo(path)
    build(path)
    const [files, before] = [readdirSync(dir.path), existsSync(path) && inode(path)]
    expect(() => setAside(path, fd)).toThrow(reason)
    expect([readdirSync(dir.path), existsSync(path) && inode(path)]).toEqual([files, before])
    closeSync(fd)
  })
})

describe('at a stop', () => {
  it.each(['next', 'pid'])('is set aside although an earlier end left a pipe .%s', async (kind) => {
    using dir = tempDir()
    await using running = start(dir.file('nats'))
    await running.logged('reading')
    const before = inode(dir.file('nats'))
    mkfifo(dir.file(kind === 'pid' ? `nats.${running.child.pid}` : 'nats.next'))
    expect((await stopped(running)).code).toBe(0)
    expect(inode(dir.file('nats'))).not.toBe(before)
    expect(existsSync(dir.file('nats.next'))).toBe(false)
    expect(running.log().filter(({ msg }) => msg.includes('set aside'))).toEqual([])
  })

  /** What is in the way, and the reason. */
  const OBSTACLES: [what: string, build: (dir: TempDir) => void, reason: RegExp][] = [
    [
      'a link',
      (dir) => {
        mkfifo(dir.file('real'))
        symlinkSync(dir.file('real'), dir.file('nats'))
      },
      /^it is a symbolic link$/,
    ],
    [
      'a file of the name of the next one',
      (dir) => {
        mkfifo(dir.file('nats'))
        writeFileSync(dir.file('nats.next'), 'precious')
      },
      /nats\.next is in the way$/,
    ],
  ]

  it.each(OBSTACLES)('warns of %s at the start and in --check', async (_, build, reason) => {
    using dir = tempDir()
    await using server = await startNats()
    build(dir)
    const [files, before] = [readdirSync(dir.path), inode(dir.file('nats'))]
    await using running = start(dir.file('nats'))
    const warning = await running.logged('the pipe cannot be set aside at a stop')
    expect(warning).toMatchObject({ level: 'warn', reason: expect.stringMatching(reason) })
    expect((await stopped(running)).code).toBe(0)
    const checked = await runFalcoNats(['--check', '-f', dir.file('nats'), '-s', server.url])
    expect(checked.stdout.toString()).toMatch(
      new RegExp(
        `^ok {4}pipe: .*; at a stop it cannot be set aside: .*${reason.source.slice(1)}`,
        'm',
      ),
    )
    expect(checked.code).toBe(0)
    expect([readdirSync(dir.path), inode(dir.file('nats'))]).toEqual([files, before])
  })

  it('warns at the stop of what came after the start', async () => {
    using dir = tempDir()
    await using running = start(dir.file('nats'))
    await running.logged('reading')
    mkdirSync(dir.file('nats.next'))
    expect((await stopped(running)).code).toBe(0)
    expect(running.log().find(({ msg }) => msg.includes('set aside'))).toMatchObject({
      level: 'warn',
      reason: expect.stringMatching(/File exists/),
    })
  })
})

describe('whyNotAside', () => {
  /** The reason that another user gets for a pipe, after `build` as root. */
  function asNobody(build: (dir: TempDir, pipe: string) => void, ...through: string[]): string {
    using dir = tempDir()
    const pipe = dir.file('x/nats')
    mkdirSync(dir.file('x'))
    mkfifo(pipe)
    chmodSync(pipe, 0o666)
    for (const path of [dir.path, dir.file('x')]) chmodSync(path, 0o755)
    build(dir, pipe)
    const code = `import(${JSON.stringify(`${dirname(MAIN)}/input/set-aside.ts`)}).then((aside) => process.stdout.write(String(aside.whyNotAside(process.argv[1]))))`
    const user = ['setpriv', `--reuid=${NOBODY}`, `--regid=${NOBODY}`, '--clear-groups']
    const [command, ...args] = [...through, ...user, process.execPath, '-e', code, pipe]
    return execFileSync(command!, args, { encoding: 'utf8' })
  }
  const give = (path: string) => chownSync(path, NOBODY, NOBODY)

  it.skipIf(!isRoot)('knows whose directory and pipe allow it', () => {
    expect(asNobody((_, pipe) => give(pipe))).toMatch(/^EACCES/)
    expect(asNobody((dir) => give(dir.file('x')))).toBe('it belongs to another user or group')
    const sticky = (dir: TempDir) => chmodSync(dir.file('x'), 0o1777)
    expect(asNobody(sticky)).toBe('its directory is sticky and not ours')
    expect(asNobody((dir, pipe) => [sticky(dir), give(pipe)])).toBe('undefined')
    expect(asNobody((dir, pipe) => [give(dir.file('x')), give(pipe)])).toBe('undefined')
    const group = (dir: TempDir, pipe: string, mode: number) => {
      chownSync(dir.file('x'), NOBODY, 7)
      chmodSync(dir.file('x'), mode)
      chownSync(pipe, NOBODY, 7)
    }
    expect(asNobody((dir, pipe) => group(dir, pipe, 0o755))).toMatch(/another user or group$/)
    expect(asNobody((dir, pipe) => group(dir, pipe, 0o2755))).toBe('undefined')
  })

  it.skipIf(!isRoot || !canMount)('knows a pipe that is mounted by itself', () => {
    using dir = tempDir()
    mkfifo(dir.file('other'))
    const mounted = `mount --bind ${dir.file('other')} "$\{!#}" && exec "$@"`
    const all = (dir: TempDir, pipe: string) => [give(dir.file('x')), give(pipe)]
    expect(asNobody(all, 'unshare', '-m', 'bash', '-c', mounted, 'bash')).toBe(
      'it is mounted by itself',
    )
  })

  it('needs a mkfifo', () => {
    using dir = tempDir()
    mkfifo(dir.file('nats'))
    expect(whyNotAside(dir.file('nats'))).toBeUndefined()
    const { PATH } = process.env
    process.env.PATH = dir.path
    try {
      expect(whyNotAside(dir.file('nats'))).toBe('there is no mkfifo on PATH')
    } finally {
      process.env.PATH = PATH
    }
  })
})
