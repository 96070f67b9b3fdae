// A stop while Falco is blocked in its write, since there is no room: it wrote that, so that it is delivered,
// spooled or counted, and its write succeeds. Every writer but the last is a process in write(2).

import { execFileSync } from 'node:child_process'
import {
  closeSync,
  constants,
  mkdirSync,
  openSync,
  symlinkSync,
  writeFileSync,
  writeSync,
} from 'node:fs'
import { setTimeout as delay } from 'node:timers/promises'
import { describe, expect, it } from 'vitest'
import { openSource } from '../../src/forward/input/source.ts'
import { systemInputs } from '../../src/forward/input/system-inputs.ts'
import { systemClock } from '../../src/shared/clock.ts'
import { falcoNats, MAIN, type Running, stopped } from '../support/cli.ts'
import { numberedAlert } from '../support/fixtures.ts'
import { createStream, readStream, startNats, subscribe } from '../support/nats.ts'
import { blocked, countNumbered, type Writing, writePipe } from '../support/pipe.ts'
import { SCRAPED, scrape, total } from '../support/scrape.ts'
import { type TempDir, tempDir } from '../support/temp.ts'
import { until } from '../support/wait.ts'

const NOWHERE = 'nats://127.0.0.1:1'
/** Full after 0.2 MB: with it and what a pipe holds, LOAD is more than can be written before the stop. */
const SMALL = ['--buffer-bytes', '256KiB', '--batch-bytes', '32KiB']
/** 0.7 MB. */
const LOAD = 6000
const NONE_LOST = { missing: 0, duplicates: 0, inOrder: true }

const start = (dir: TempDir, url: string, ...more: string[]): Running =>
  falcoNats(['-f', dir.file('nats'), '-s', url, '--drain-timeout', '2s', ...SMALL, ...more])

/** All at once, and how the writer ended. */
const writeAll = (dir: TempDir, alerts = LOAD) =>
  writePipe(dir.file('nats'), `numbered:${alerts}`, 0)

const linesRead = async (running: Running) =>
  total(await scrape(running), 'falco_nats_lines_read_total')

/** Nothing more is read, although the event loop turns: a stop reads no more than a pipe can hold. */
async function full(running: Running, writing: Writing): Promise<void> {
  await blocked(writing)
  let read = 0
  let since = 0
  await until('nothing more is read', async () => {
    const now = await linesRead(running)
    if (now !== read) since = performance.now()
    read = now
    return performance.now() - since > 2500
  })
}

describe('without a spool', () => {
  it('counts what was in the pipe', async () => {
    using dir = tempDir()
    await using running = start(dir, NOWHERE)
    await using writing = await writeAll(dir)
    await blocked(writing)
    const { code, last } = await stopped(running)
    expect(await writing.done()).toBe(0)
    expect(last).toMatchObject({
      msg: `done: ${LOAD} alerts were lost (${LOAD} not delivered in time)`,
      read: LOAD,
      left: LOAD,
    })
    expect(code).toBe(1)
  })

  it('delivers it when the server is back within the drain timeout', async () => {
    using dir = tempDir()
    await using server = await startNats(`jetstream { store_dir: "${dir.file('jetstream')}" }`)
    await createStream(server.url)
    await server.stop()
    await using running = start(dir, server.url, '--drain-timeout', '30s')
    await using writing = await writeAll(dir)
    await blocked(writing)
    const stopping = stopped(running)
    expect(await writing.done()).toBe(0)
    await server.start()
    expect(await stopping).toMatchObject({
      code: 0,
      last: { read: LOAD, delivered: LOAD, left: 0 },
    })
    expect(countNumbered(await readStream(server.url), LOAD)).toEqual(NONE_LOST)
  })

  it('delivers it to a server that was slow, and does not take its new pipe for a foreign one', async () => {
    using dir = tempDir()
    await using server = await startNats()
    await using subscriber = await subscribe(server.url)
    await using running = start(dir, server.url, '--drain-timeout', '30s')
    await running.logged('connected')
    server.freeze()
    await using writing = await writeAll(dir)
    await blocked(writing)
    const stopping = stopped(running)
    // The pipe is looked up every 5 s.
    await delay(5_500)
    server.thaw()
    expect(await stopping).toMatchObject({
      code: 0,
      last: { read: LOAD, delivered: LOAD, left: 0 },
    })
    expect(await writing.done()).toBe(0)
    await subscriber.count(LOAD)
    expect(countNumbered(subscriber.messages, LOAD)).toEqual(NONE_LOST)
  })

  it('leaves to the next start what a Falco that goes on writes, and nothing between the two', async () => {
    using dir = tempDir()
    await using server = await startNats('', { started: false })
    await using running = start(dir, server.url, '--drain-timeout', '300ms')
    await using writing = await writePipe(dir.file('nats'), `numbered:${LOAD}`, 'falco')
    await blocked(writing)
    const { code, last } = await stopped(running)
    const first = last.read as number
    expect({ code, left: last.left }).toEqual({ code: 1, left: first })
    expect(first).toBeLessThan(LOAD)
    await server.start()
    await using subscriber = await subscribe(server.url)
    await using again = start(dir, server.url)
    expect(await writing.done()).toBe(0)
    expect(await stopped(again)).toMatchObject({ code: 0, last: { read: LOAD - first } })
    await subscriber.count(LOAD - first)
    expect(countNumbered(subscriber.messages, LOAD)).toEqual({ ...NONE_LOST, missing: first })
  })

  it.each(['a linked pipe', 'standard input'])('does the same with %s', async (kind) => {
    using dir = tempDir()
    mkdirSync(dir.file('other'))
    execFileSync('mkfifo', [dir.file('other/nats')])
    symlinkSync(dir.file('other/nats'), dir.file('nats'))
    const shell = `exec ${process.execPath} ${MAIN} "$@" < ${dir.file('nats')}`
    await using running =
      kind === 'a linked pipe'
        ? start(dir, NOWHERE)
        : falcoNats(
            ['-c', shell, 'sh', '-f', '-', '-s', NOWHERE, '--drain-timeout', '2s', ...SMALL],
            { program: ['/bin/sh'] },
          )
    await using writing = await writeAll(dir)
    await blocked(writing)
    const { code, last } = await stopped(running)
    expect(await writing.done()).toBe(0)
    expect({ code, read: last.read, left: last.left }).toEqual({ code: 1, read: LOAD, left: LOAD })
  })

  it('counts what was in the pipe at a second signal, too', async () => {
    using dir = tempDir()
    await using running = start(dir, NOWHERE, '--drain-timeout', '1h', ...SCRAPED)
    await using writing = await writeAll(dir)
    await blocked(writing)
    const before = await linesRead(running)
    running.child.kill('SIGINT')
    const { code, last } = await stopped(running)
    expect(code).toBe(1)
    expect(last.left).toBe(last.read)
    expect(last.read).toBeGreaterThanOrEqual(before + (64 * 1024) / 130)
  })

  it('counts an alert whose end does not come as lost', async () => {
    using dir = tempDir()
    await using running = start(dir, NOWHERE, ...SCRAPED)
    await running.logged('reading')
    const text = `${numberedAlert(0)}\n${numberedAlert(1).slice(0, 50)}`
    const shell = `exec 3> ${dir.file('nats')}; printf %s '${text}' >&3; exec sleep 60`
    await using _writer = falcoNats(['-c', shell], { program: ['/bin/sh'] })
    await until('one and a half are read', async () => (await linesRead(running)) === 1)
    const { code, last } = await stopped(running)
    expect({ code, read: last.read, left: last.left }).toEqual({ code: 1, read: 2, left: 2 })
  })
})

describe('with a spool', () => {
  const ROOMY = [...SCRAPED, '--buffer-bytes', '2MiB', '--spool-bytes', '4MiB']
  /** 2.1 MB: spool and buffer take 1.9 while it runs, and the spool 2.4 at a stop. */
  const MORE = 18_500

  it('leaves there what was in the pipe', async () => {
    using dir = tempDir()
    await using server = await startNats('', { started: false })
    const spool = ['--spool-dir', dir.file('spool'), ...ROOMY]
    {
      await using running = start(dir, server.url, ...spool)
      await using writing = await writeAll(dir, MORE)
      await full(running, writing)
      const { code, last } = await stopped(running)
      expect(await writing.done()).toBe(0)
      expect(last).toMatchObject({ read: MORE, spooled: MORE, left: 0 })
      expect(code).toBe(0)
    }
    await server.start()
    await using subscriber = await subscribe(server.url)
    await using running = start(dir, server.url, ...spool)
    await subscriber.count(MORE)
    expect(countNumbered(subscriber.messages, MORE)).toEqual(NONE_LOST)
    expect((await stopped(running)).code).toBe(0)
  })

  it('counts what it does not take', async () => {
    using dir = tempDir()
    const much = 31_500
    const spool = ['--spool-dir', dir.file('spool'), ...ROOMY, '--buffer-bytes', '4MiB']
    await using running = start(dir, NOWHERE, ...spool)
    await using writing = await writeAll(dir, much)
    await full(running, writing)
    const { code, last } = await stopped(running)
    expect(await writing.done()).toBe(0)
    const [spooled, left] = [last.spooled as number, last.left as number]
    expect(last.msg).toBe(
      `done: ${left} alerts were lost (${left} neither delivered in time nor stored by the spool)`,
    )
    expect({ code, read: last.read, sum: spooled + left }).toEqual({
      code: 1,
      read: much,
      sum: much,
    })
    expect(spooled).toBeGreaterThan(15_000)
    expect(left).toBeGreaterThan(0)
  })
})

it('sheds the least severe of what was in the pipe, too', async () => {
  using dir = tempDir()
  const alerts = Array.from({ length: LOAD }, (_, n) =>
    numberedAlert(n).replace('Notice', n % 10 ? 'Debug' : 'Critical'),
  )
  writeFileSync(dir.file('alerts'), `${alerts.join('\n')}\n`)
  await using running = start(dir, NOWHERE, '--when-full', 'drop', '--drain-timeout', '300ms')
  await using writing = await writePipe(dir.file('nats'), dir.file('alerts'), 0)
  // Its last bytes may still be in the pipe.
  expect(await writing.done()).toBe(0)
  const { code, last } = await stopped(running)
  expect(Object.keys(last.dropped as object)).toEqual(['debug'])
  const { debug } = last.dropped as { debug: number }
  expect({ code, read: last.read, sum: debug + (last.left as number) }).toEqual({
    code: 1,
    read: LOAD,
    sum: LOAD,
  })
})

it('leaves nothing in the pipe of a writer that has it open and does not pause', async () => {
  using dir = tempDir()
  const system = { inputs: systemInputs, clock: systemClock }
  const source = openSource(dir.file('nats'), 64 * 1024, system, {
    notAside: expect.fail,
    writerStays() {},
  })
  const writer = openSync(dir.file('nats'), constants.O_WRONLY | constants.O_NONBLOCK)
  const line = Buffer.from(`${'x'.repeat(1023)}\n`)
  let written = 0
  let read = 0
  /** More than a stop reads for certain, so that the pipe is full when it has. */
  const fill = () => {
    try {
      while (written < 1.5 * 1024 ** 2) written += writeSync(writer, line)
    } catch (error) {
      expect(error).toMatchObject({ code: 'EAGAIN' })
    }
  }
  fill()
  const sink = {
    write(chunk: Buffer) {
      read += chunk.length
      fill()
      return true
    },
    room: async () => {},
    lines: () => Math.floor(read / line.length),
    isMidLine: () => read % line.length > 0,
    end() {},
  }
  await source.pump(sink, AbortSignal.abort(), new AbortController().signal)
  closeSync(writer)
  expect(written).toBeGreaterThan(1024 ** 2)
  expect(read).toBe(written)
})
