// Faults of our own process, under load: killed, stopped and started, the clock set.

import { DatabaseSync } from 'node:sqlite'
import { describe, expect, it } from 'vitest'
import { preloaded } from '../../support/cli.ts'
import {
  LOAD,
  logged,
  missingNumbers,
  NONE_LOST,
  numberOf,
  RATE,
  RESTARTS,
  report,
  SERVER_CONFIG,
  spooled,
  start,
  stopped,
  TIMEOUT_MS,
  underLoad,
  write,
} from '../../support/faults.ts'
import { startNats, subscribe } from '../../support/nats.ts'
import { writePipe } from '../../support/pipe.ts'
import { startProxy } from '../../support/proxy.ts'
import { type TempDir, tempDir } from '../../support/temp.ts'
import { until } from '../../support/wait.ts'

/** What a spool holds that no process has open. */
function spooledNumbers(dir: TempDir): number[] {
  const database = new DatabaseSync(dir.file('spool/spool.db'))
  const rows = database.prepare('SELECT lines FROM batches ORDER BY id').all()
  database.close()
  return rows.flatMap(({ lines }) =>
    Buffer.from(lines as Uint8Array)
      .toString()
      .trimEnd()
      .split('\n')
      .map((line) => numberOf({ data: Buffer.from(line) })),
  )
}

describe('our process', () => {
  it(
    '5: killed while it spools, and while it drains',
    async () => {
      using dir = tempDir()
      await using server = await startNats(SERVER_CONFIG, { started: false })
      await using first = start(dir, server.url)
      await first.logged('reading')
      await using writing = await write(dir)
      await until('half is on disk', async () => (await spooled(first)) > LOAD / 2)
      first.child.kill('SIGKILL')
      await first.exited()
      const onDisk = spooledNumbers(dir)
      await server.start()
      await using proxy = await startProxy(server.port, { delayMs: 50, bytesPerSecond: 500_000 })
      await using subscriber = await subscribe(server.url)
      {
        await using running = start(dir, proxy.url)
        await subscriber.count(LOAD / 10)
        running.child.kill('SIGKILL')
        await running.exited()
      }
      const left = spooledNumbers(dir)
      await using running = start(dir, server.url)
      expect(await writing.done()).toBe(0)
      const { code, last } = await stopped(running)
      expect(code).toBe(0)
      await subscriber.count((last.restored as number) + (last.read as number))
      const { missing } = report('5 killed', subscriber.messages, LOAD)
      const missed = new Set(missingNumbers(subscriber.messages))
      console.info(`5 killed: ${onDisk.length} on disk, then ${left.length}`)
      expect(left.length).toBeGreaterThan(0)
      expect(onDisk.length).toBeGreaterThan(LOAD / 2)
      expect([...onDisk, ...left].filter((n) => missed.has(n))).toEqual([])
      // What neither the disk nor a writer that had the pipe open had: a fifth of a second, twice.
      expect(missing).toBeLessThan(RATE)
    },
    TIMEOUT_MS,
  )

  it(
    `6: stopped and started ${RESTARTS} times`,
    async () => {
      using dir = tempDir()
      await using server = await startNats(SERVER_CONFIG)
      await using subscriber = await subscribe(server.url)
      let read = 0
      let running = start(dir, server.url)
      await using writing = await write(dir)
      for (let stops = 1; stops <= RESTARTS; stops++) {
        await subscriber.count((stops * LOAD) / (RESTARTS + 2))
        const { code, last } = await stopped(running)
        expect(code).toBe(0)
        expect(last.left).toBe(0)
        read += last.read as number
        running = start(dir, server.url)
      }
      await using _last = running
      expect(await writing.done()).toBe(0)
      const { code, last } = await stopped(running)
      expect(code).toBe(0)
      await subscriber.count(read + (last.read as number))
      expect(report('6 stopped and started', subscriber.messages, LOAD)).toEqual(NONE_LOST)
    },
    TIMEOUT_MS,
  )

  it(
    '6: stopped and started, while a writer opens, writes and closes as fast as it can',
    async () => {
      using dir = tempDir()
      await using server = await startNats(SERVER_CONFIG)
      await using subscriber = await subscribe(server.url)
      const sent = 10 * LOAD
      let running = start(dir, server.url)
      await using writing = await writePipe(dir.file('nats'), `numbered:${sent}`, 'falco')
      for (let stops = 1; stops <= 5; stops++) {
        await subscriber.count((stops * sent) / 8)
        expect((await stopped(running)).code).toBe(0)
        running = start(dir, server.url)
      }
      await using _last = running
      expect(await writing.done()).toBe(0)
      expect((await stopped(running)).code).toBe(0)
      await subscriber.count(sent)
      expect(report('6 at full speed', subscriber.messages, sent)).toEqual(NONE_LOST)
    },
    TIMEOUT_MS,
  )

  it(
    '14: the clock jumps an hour ahead, and two back',
    async () => {
      const jump = `let shift = 0
        const RealDate = Date
        globalThis.Date = class extends RealDate {
          constructor(...args) { args.length ? super(...args) : super(Date.now()) }
          static now() { return RealDate.now() + shift }
        }
        process.on('SIGUSR2', () => { shift = shift > 0 ? -3600e3 : 3600e3 })`
      await using server = await startNats(SERVER_CONFIG)
      await using subscriber = await subscribe(server.url)
      const { log, last, ...counted } = await underLoad(
        '14 clock jumps',
        server.url,
        subscriber,
        async ({ child }) => {
          child.kill('SIGUSR2')
          await subscriber.count(LOAD / 2)
          child.kill('SIGUSR2')
        },
        { program: preloaded(jump) },
      )
      expect(counted).toEqual(NONE_LOST)
      expect(logged(log, 'disconnected')).toBe(0)
      expect(log[0]!.time).not.toBe(last.time)
    },
    TIMEOUT_MS,
  )
})
