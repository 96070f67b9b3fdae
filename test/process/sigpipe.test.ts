// However the program ends in order, a Falco that SIGPIPE would end lives on, and waits for the next start.

import { execFileSync } from 'node:child_process'
import { readFileSync, renameSync, symlinkSync } from 'node:fs'
import { afterAll, describe, expect, it } from 'vitest'
import { falcoNats, type Running, stopped } from '../support/cli.ts'
import { type FalcoWriter, type FalcoWriterOptions, falcoWriter } from '../support/falco-writer.ts'
import { type TempDir, tempDir } from '../support/temp.ts'
import { until } from '../support/wait.ts'

const NOWHERE = ['-s', 'nats://127.0.0.1:1', '--drain-timeout', '300ms']
/** Full after some hundred alerts. */
const SMALL = ['--buffer-bytes', '256KiB', '--batch-bytes', '32KiB']
const MANY: FalcoWriterOptions = { gapUs: 50, holdUs: 20 }

const compiled = tempDir()
afterAll(() => compiled[Symbol.dispose]())
const write = falcoWriter(compiled)

/** The writer waits in `wchan`, or has ended. */
const waitsIn = (writer: FalcoWriter, wchan: string) =>
  until(`the writer waits in ${wchan}`, () => {
    if (writer.ended() !== undefined) return true
    return readFileSync(`/proc/${writer.pid}/wchan`, 'utf8').includes(wchan)
  })

interface Way {
  readonly what: string
  readonly args: readonly string[]
  readonly writer: FalcoWriterOptions
  /** Before the start. */
  readonly prepare?: (pipe: string, dir: TempDir) => void
  /** While the writer writes; without it, a SIGTERM. */
  readonly end?: (running: Running, pipe: string, writer: FalcoWriter) => unknown
  /** Alerts that are written after the end was asked for may be left in the pipe, and are not counted. */
  readonly mayLeave?: true
}

const linked = (pipe: string, dir: TempDir) => symlinkSync(dir.file('real'), pipe)
const mkfifo = (pipe: string) => execFileSync('mkfifo', ['-m', '0622', pipe])

const WAYS: Way[] = [
  { what: 'at a stop', args: ['--dry-run'], writer: MANY },
  {
    what: 'at a stop when it is between open and write for long',
    args: ['--dry-run'],
    writer: { holdUs: 900_000 },
  },
  {
    what: 'at a stop in the middle of large alerts',
    args: ['--dry-run'],
    writer: { gapUs: 50, bytes: 300_000 },
  },
  { what: 'at the drain timeout', args: NOWHERE, writer: MANY },
  {
    what: 'when the buffer is full and it is blocked in a write',
    args: [...NOWHERE, ...SMALL],
    writer: MANY,
    end: async (running, _pipe, writer) => {
      await waitsIn(writer, 'pipe_write')
      running.child.kill()
    },
  },
  {
    what: 'at a second signal',
    args: ['-s', 'nats://127.0.0.1:1', '--drain-timeout', '1h', ...SMALL],
    writer: MANY,
    end: async (running, _pipe, writer) => {
      await waitsIn(writer, 'pipe_write')
      running.child.kill()
      await running.logged('stopping')
      running.child.kill()
    },
  },
  {
    what: 'when another pipe is put in its place',
    args: NOWHERE,
    writer: MANY,
    end(_running, pipe) {
      mkfifo(`${pipe}.other`)
      renameSync(`${pipe}.other`, pipe)
    },
  },
  {
    what: 'when standard output is gone',
    args: ['--dry-run'],
    writer: MANY,
    end: (running) => running.child.stdout.destroy(),
  },
  {
    what: 'at a stop when the pipe cannot be set aside',
    args: ['--dry-run'],
    writer: { gapUs: 5_000, holdUs: 1_000 },
    prepare(pipe, dir) {
      mkfifo(dir.file('real'))
      linked(pipe, dir)
    },
    mayLeave: true,
  },
  {
    what: 'at the drain timeout when the pipe cannot be set aside',
    args: [...NOWHERE, ...SMALL],
    // Where the process is suspended between its last look and the close, no writer may come.
    writer: { gapUs: 100_000, holdUs: 1_000, bytes: 20_000 },
    prepare(pipe, dir) {
      mkfifo(dir.file('real'))
      linked(pipe, dir)
    },
    end: async (running, _pipe, writer) => {
      await waitsIn(writer, 'pipe_write')
      running.child.kill()
    },
    mayLeave: true,
  },
]

describe.skipIf(!write)('SIGPIPE ends no writer', () => {
  it.each(WAYS)('$what', async ({ args, writer: options, prepare, end, mayLeave }) => {
    using dir = tempDir()
    const pipe = dir.file('nats')
    prepare?.(pipe, dir)
    await using running = falcoNats(['-f', pipe, ...args])
    await running.logged('reading')
    await using writer = write!(dir, pipe, options)
    await until('something is written', () => writer.written() > (options.holdUs! > 1e5 ? 0 : 5))
    if (end) await end(running, pipe, writer)
    else running.child.kill()
    await running.exited()
    await waitsIn(writer, 'wait_for_partner')
    expect(writer.ended()).toBeUndefined()
    const { read } = running.log().at(-1)!
    if (mayLeave) expect(writer.written() - (read as number)).toBeLessThan(2)
    else expect(read).toBe(writer.written())
  })
})

describe.skipIf(!write)('a writer that keeps the pipe open', () => {
  it('is read to its end if that comes within two seconds', async () => {
    using dir = tempDir()
    await using running = falcoNats(['-f', dir.file('nats'), '--dry-run'])
    await running.logged('reading')
    const options = { keepAlive: true, gapUs: 500_000, count: 4 }
    await using writer = write!(dir, dir.file('nats'), options)
    await until('two are written', () => writer.written() === 2)
    const { last } = await stopped(running)
    expect(await writer.done()).toBe('0')
    expect(last).toMatchObject({ read: 4, delivered: 4 })
    expect(running.log().filter(({ level }) => level === 'warn')).toEqual([])
  })

  it('is reported if it stays', async () => {
    using dir = tempDir()
    await using running = falcoNats(['-f', dir.file('nats'), '--dry-run'])
    await running.logged('reading')
    const options = { keepAlive: true, gapUs: 60_000_000 }
    await using _writer = write!(dir, dir.file('nats'), options)
    await until('it is printed', () => running.stdout().length > 0)
    const { code } = await stopped(running)
    expect(code).toBe(0)
    const { level, msg } = await running.logged('still has the pipe open')
    expect({ level, msg }).toMatchObject({
      level: 'warn',
      msg: expect.stringContaining('keep_alive: false'),
    })
  })
})
