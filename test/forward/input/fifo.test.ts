// The pipe's place: who can reach it, what becomes of us when it can no longer be looked up, and what keeps it from
// being set aside at a stop.

import { execFileSync, spawnSync } from 'node:child_process'
import {
  chmodSync,
  chownSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { dirname } from 'node:path'
import { describe, expect, it } from 'vitest'
import { whyNotAside } from '../../../src/forward/input/set-aside.ts'
import { falcoNats, MAIN, runFalcoNats, stopped } from '../../support/cli.ts'
import { startNats } from '../../support/nats.ts'
import { writePipe } from '../../support/pipe.ts'
import { type TempDir, tempDir } from '../../support/temp.ts'
import { until } from '../../support/wait.ts'

const NOBODY = 65534
const isRoot = process.getuid!() === 0
if (!isRoot) console.warn('skipped: what needs another user, since only root can be one')
const canMount = spawnSync('unshare', ['-m', 'true']).status === 0
if (!canMount) console.warn('skipped: a pipe that is mounted, since unshare -m is not allowed')

const mkfifo = (path: string) => execFileSync('mkfifo', ['-m', '0622', path])
const start = (pipe: string, ...more: string[]) =>
  falcoNats(['-f', pipe, '-s', 'nats://127.0.0.1:1', '--drain-timeout', '300ms', ...more])

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

describe('at a stop', () => {
  const inode = (path: string) => statSync(path).ino

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
