// Falco was first, and writes into a file where the pipe should be: nothing of it is lost, whatever happens then.

import { execFileSync } from 'node:child_process'
import {
  appendFileSync,
  closeSync,
  existsSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  statSync,
  writeFileSync,
  writeSync,
} from 'node:fs'
import { afterAll, describe, expect, it } from 'vitest'
import { falcoNats, runFalcoNats, stopped } from '../support/cli.ts'
import { type FalcoWriter, falcoWriter } from '../support/falco-writer.ts'
import { numberedAlert } from '../support/fixtures.ts'
import { startNats, subscribe } from '../support/nats.ts'
import { countNumbered } from '../support/pipe.ts'
import { tempDir } from '../support/temp.ts'
import { until } from '../support/wait.ts'
import { numbered } from '../support/writer.ts'

const compiled = tempDir()
afterAll(() => compiled[Symbol.dispose]())
const write = falcoWriter(compiled)
const OFTEN = { gapUs: 200, bytes: 300 }

const waits = (writer: FalcoWriter) =>
  until('the writer waits for a reader', () =>
    readFileSync(`/proc/${writer.pid}/wchan`, 'utf8').includes('wait_for_partner'),
  )
const NOTHING_LOST = { missing: 0, duplicates: 0, inOrder: true }

describe.skipIf(!write)('--adopt-file, while a writer opens it for each alert', () => {
  it('forwards the file, then the pipe, in order, and removes the file', async () => {
    using dir = tempDir()
    await using server = await startNats()
    await using subscriber = await subscribe(server.url)
    await using writer = write!(dir, dir.file('nats'), OFTEN)
    await until('a file has grown', () => writer.written() > 2_000)
    expect(statSync(dir.file('nats')).isFile()).toBe(true)
    const args = ['-f', dir.file('nats'), '-s', server.url, '--adopt-file']
    await using running = falcoNats(args)
    await running.logged('all alerts of the file are confirmed')
    expect(statSync(dir.file('nats')).isFIFO()).toBe(true)
    const then = writer.written()
    await until('the pipe is read', () => writer.written() > then + 1_000)
    const { code, last } = await stopped(running)
    await waits(writer)
    expect([code, last.read]).toEqual([0, writer.written()])
    await subscriber.count(writer.written())
    expect(countNumbered(subscriber.messages, writer.written())).toEqual(NOTHING_LOST)
    expect(readdirSync(dir.path).sort()).toEqual(['nats', 'written'])
  })
})

it('keeps a file without an alert: it is not of Falco', async () => {
  using dir = tempDir()
  await using server = await startNats()
  writeFileSync(dir.file('nats'), 'my notes\nmore of them\n')
  await using running = falcoNats(['-f', dir.file('nats'), '-s', server.url, '--adopt-file'])
  await running.logged('the file has no alert: it is kept')
  const { code } = await stopped(running)
  expect(code).toBe(0)
  expect(readFileSync(dir.file('nats.adopted'), 'utf8')).toBe('my notes\nmore of them\n')
})

const numbersIn = (bytes: Buffer) => bytes.toString().split('\n').length - 1

it('loses nothing of the file when it is killed', async () => {
  using dir = tempDir()
  await using server = await startNats()
  await using subscriber = await subscribe(server.url)
  writeFileSync(dir.file('nats'), numbered(2_000))
  const args = ['-f', dir.file('nats'), '--adopt-file', '-s']
  await using killed = falcoNats([...args, 'nats://127.0.0.1:1'])
  await until('it is adopted', () => existsSync(dir.file('nats.adopted')))
  killed.child.kill('SIGKILL')
  await killed.exited()
  await using running = falcoNats([...args, server.url])
  await running.logged('all alerts of the file are confirmed')
  expect((await stopped(running)).code).toBe(0)
  await subscriber.count(2_000)
  expect(countNumbered(subscriber.messages, 2_000)).toEqual(NOTHING_LOST)
  expect(readdirSync(dir.path)).toEqual(['nats'])
})

it('keeps the file for the next start when its alerts are not confirmed', async () => {
  using dir = tempDir()
  await using server = await startNats()
  await using subscriber = await subscribe(server.url)
  writeFileSync(dir.file('nats'), numbered(100))
  const nowhere = ['-s', 'nats://127.0.0.1:1', '--drain-timeout', '100ms']
  const first = ['-f', dir.file('nats'), '--adopt-file', ...nowhere]
  await using running = falcoNats(first)
  await running.logged('cannot connect')
  const { code, last } = await stopped(running)
  expect([code, last.left]).toEqual([1, 100])
  expect(readFileSync(dir.file('nats.adopted'))).toEqual(numbered(100))
  // Without the option it is named, and not lost.
  await using without = falcoNats(['-f', dir.file('nats'), '-s', server.url])
  const { file } = await without.logged('--adopt-file reads it')
  expect(file).toBe(dir.file('nats.adopted'))
  await stopped(without)
  await using second = falcoNats(['-f', dir.file('nats'), '-s', server.url, '--adopt-file'])
  await second.logged('all alerts of the file are confirmed')
  await stopped(second)
  await subscriber.count(100)
  expect(countNumbered(subscriber.messages, 100)).toEqual(NOTHING_LOST)
})

it('keeps the file when a stop comes while it is read', async () => {
  using dir = tempDir()
  writeFileSync(dir.file('nats'), numbered(20_000))
  const small = ['--buffer-bytes', '64KiB', '--batch-bytes', '16KiB', '--drain-timeout', '100ms']
  const args = ['-f', dir.file('nats'), '-s', 'nats://127.0.0.1:1', '--adopt-file', ...small]
  await using running = falcoNats(args)
  await running.logged('cannot connect')
  const { code, last } = await stopped(running)
  expect(code).toBe(1)
  expect(last.read).toBeLessThan(20_000)
  expect(readFileSync(dir.file('nats.adopted'))).toEqual(numbered(20_000))
})

it('keeps the file whole when a stop comes in the middle of it, without a false reject', async () => {
  using dir = tempDir()
  // Longer than a read: some reads end in the middle of a line.
  const long = numberedAlert(0).replace('{', `{"pad":"${'x'.repeat(9_000)}",`)
  writeFileSync(dir.file('nats'), `${long}\n`.repeat(2_000))
  const small = ['--buffer-bytes', '64KiB', '--batch-bytes', '16KiB', '--drain-timeout', '100ms']
  const args = ['-f', dir.file('nats'), '-s', 'nats://127.0.0.1:1', '--adopt-file', ...small]
  await using running = falcoNats(args)
  await running.logged('cannot connect')
  const { last } = await stopped(running)
  expect(last.rejected).toBe(0)
  const { bytes } = await running.logged('was not read to its end: it is kept')
  expect(bytes).toBe(
    statSync(dir.file('nats.adopted')).size - Number(last.left) * (long.length + 1),
  )
})

it('reads a last line that has no end', async () => {
  using dir = tempDir()
  await using server = await startNats()
  await using subscriber = await subscribe(server.url)
  writeFileSync(dir.file('nats'), numbered(3).subarray(0, -1))
  await using running = falcoNats(['-f', dir.file('nats'), '-s', server.url, '--adopt-file'])
  await running.logged('all alerts of the file are confirmed')
  const { code, last } = await stopped(running)
  expect([code, last.read]).toEqual([0, 3])
  await subscriber.count(3)
  expect(readdirSync(dir.path)).toEqual(['nats'])
})

describe('a writer that keeps the file open', () => {
  it('is read on, with a warning', async () => {
    using dir = tempDir()
    await using server = await startNats()
    await using subscriber = await subscribe(server.url)
    const writer = openSync(dir.file('nats'), 'a')
    const lines = numbered(3).toString().split('\n')
    writeSync(writer, `${lines[0]}\n`)
    await using running = falcoNats(['-f', dir.file('nats'), '-s', server.url, '--adopt-file'])
    await running.logged('all alerts of the file are confirmed')
    writeSync(writer, `${lines[1]}\n${lines[2]!.slice(0, 9)}`)
    const { msg } = await running.logged('Falco still writes to the file')
    expect(msg).toContain('keep_alive: false')
    writeSync(writer, `${lines[2]!.slice(9)}\n`)
    closeSync(writer)
    // It is read at the stop at the latest.
    const { code, last } = await stopped(running)
    expect([code, last.read]).toEqual([0, 3])
    await subscriber.count(3)
    expect(readdirSync(dir.path)).toEqual(['nats'])
  })

  it('is not outrun by a burst', async () => {
    using dir = tempDir()
    await using server = await startNats()
    await using subscriber = await subscribe(server.url)
    const total = 100_000
    const burst = numbered(total)
    const first = burst.indexOf('\n') + 1
    writeFileSync(dir.file('nats'), burst.subarray(0, first))
    const small = ['--batch-bytes', '64KiB', '--buffer-bytes', '128KiB']
    const args = ['-f', dir.file('nats'), '-s', server.url, '--adopt-file', ...small]
    await using running = falcoNats(args)
    await running.logged('all alerts of the file are confirmed')
    appendFileSync(dir.file('nats.adopted'), burst.subarray(first))
    await subscriber.count(total)
    expect(countNumbered(subscriber.messages, total)).toEqual(NOTHING_LOST)
    expect((await stopped(running)).code).toBe(0)
    expect(readdirSync(dir.path)).toEqual(['nats'])
  })

  it('is left for the pipe when it never pauses', async () => {
    using dir = tempDir()
    await using server = await startNats()
    await using subscriber = await subscribe(server.url)
    const writer = openSync(dir.file('nats'), 'a')
    writeSync(writer, numbered(1))
    const busy = setInterval(() => writeSync(writer, numbered(1)), 50)
    try {
      await using running = falcoNats(['-f', dir.file('nats'), '-s', server.url, '--adopt-file'])
      await running.logged('reading')
      const piped = openSync(dir.file('nats'), 'a')
      writeSync(piped, `${numberedAlert(77)}\n`)
      closeSync(piped)
      await until('the pipe is read', () =>
        subscriber.messages.some(({ data }) => data.includes('"n":77,')),
      )
      await running.logged('Falco still writes to the file')
      await stopped(running)
    } finally {
      clearInterval(busy)
      closeSync(writer)
    }
  })
})

describe('without --adopt-file', () => {
  it('prints what to do, and that works while Falco writes', async () => {
    using dir = tempDir()
    writeFileSync(dir.file('nats'), numbered(10))
    const { code, stderr } = await runFalcoNats(['-f', dir.file('nats'), '--dry-run'])
    expect(code).toBe(1)
    expect(stderr).toContain('is a regular file')
    const [, commands, , feed] = /by hand: (ln .*), (start falco-nats), then (.*)\n/.exec(stderr)!
    execFileSync('/bin/sh', ['-c', commands!])
    expect(statSync(dir.file('nats')).isFIFO()).toBe(true)
    await using running = falcoNats(['-f', dir.file('nats'), '--dry-run'])
    await running.logged('reading')
    const program = `"$@" ${feed!.replace('falco-nats ', '--dry-run ')}`
    const main = new URL('../../src/forward/main.ts', import.meta.url).pathname
    const fed = execFileSync('/bin/sh', ['-c', program, 'sh', process.execPath, main], {
      stdio: ['ignore', 'pipe', 'ignore'],
    })
    expect(numbersIn(fed)).toBe(10)
    await stopped(running)
  })
})

describe('--check', () => {
  it('prints what --adopt-file would do, and changes nothing', async () => {
    using dir = tempDir()
    writeFileSync(dir.file('nats'), numbered(10))
    const check = ['--check', '-f', dir.file('nats'), '-s', 'nats://127.0.0.1:1']
    const pipeLine = async (...more: string[]) => {
      const { stdout } = await runFalcoNats([...check, ...more])
      return stdout
        .toString()
        .split('\n')
        .find((line) => line.includes('pipe:'))
    }
    expect(await pipeLine()).toMatch(/^FAIL {2}pipe: .* is a regular file/)
    expect(await pipeLine('--adopt-file')).toMatch(/^ok {4}pipe: .* it will be forwarded/)
    expect(readdirSync(dir.path)).toEqual(['nats'])
    expect(statSync(dir.file('nats')).isFile()).toBe(true)
    mkdirSync(dir.file('nats.adopted'))
    expect(await pipeLine('--adopt-file')).toMatch(/^FAIL {2}pipe: .*nats.adopted is in the way/)
  })
})
