// From the batcher through the buffer to a real server: order, what is confirmed, what is sent again.

import { setImmediate as turn } from 'node:timers/promises'
import pino from 'pino'
import { expect, it } from 'vitest'
import { createCounters, total } from '../../../src/forward/accounting/counters.ts'
import { createAlertBuffer } from '../../../src/forward/buffer/alert-buffer.ts'
import { createBatcher } from '../../../src/forward/buffer/batcher.ts'
import { openSpool, type Spool } from '../../../src/forward/buffer/spool/spool.ts'
import { createConnector } from '../../../src/forward/delivery/connector.ts'
import { createCoreNats } from '../../../src/forward/delivery/core-nats.ts'
import { openPublisher } from '../../../src/forward/delivery/publisher.ts'
import { createBatchPool } from '../../../src/forward/encoding/batch.ts'
import { createEncoder } from '../../../src/forward/encoding/encoder.ts'
import { parseServers } from '../../../src/shared/nats/servers.ts'
import { createNotifier } from '../../../src/shared/notifier.ts'
import { numberedAlert } from '../../support/fixtures.ts'
import { type Received, startNats, subscribe } from '../../support/nats.ts'
import { startProxy } from '../../support/proxy.ts'
import { environmentFor } from '../../support/sessions.ts'
import { tempDir } from '../../support/temp.ts'
import { until } from '../../support/wait.ts'

const BATCH_BYTES = 16 * 1024
const READ_BYTES = 4096
const MIB = 1024 * 1024

/** What `forward` puts together, without a source. Lines are numbered from 0. */
function start(url: string, spool?: Spool, bufferBytes = 4 * BATCH_BYTES) {
  const counters = createCounters()
  const pool = createBatchPool(BATCH_BYTES)
  const log = pino({ level: 'silent' })
  const stateChanged = createNotifier()
  const environment = environmentFor()
  const { clock } = environment
  const encoder = createEncoder(({ rule }) => `falco.${rule}`)
  const rejects: string[] = []
  const batcher = createBatcher({
    pool,
    readBytes: READ_BYTES,
    maxLineBytes: MIB,
    minPriority: 7,
    dropInternal: false,
    onReport() {},
    encoder,
    counters,
    events: undefined,
    stateChanged,
    clock,
    onReject: (reason) => rejects.push(reason),
  })
  const sink = openPublisher({
    connector: createConnector({ ...environment, servers: parseServers(url), counters, log }),
    transport: createCoreNats(clock),
    buffer: createAlertBuffer({
      bufferBytes,
      whenFull: 'block',
      spool,
      encoder,
      pool,
      counters,
      log,
      clock,
    }),
    counters,
    stateChanged,
    clock,
    rejectLog: (reason) => rejects.push(reason),
  })
  const flow = async () => {
    for await (const batch of batcher.batches(sink)) await sink.put(batch)
    await sink.drain()
  }
  const flowing = flow()
  let n = 0
  return {
    counters,
    sink,
    batcher,
    rejects,
    vitals: sink.vitals!,
    /** Resolves when they are read, one at each turn of the event loop, and while there is room. */
    async write(count: number, rule?: string): Promise<void> {
      for (const end = n + count; n < end; ) {
        await Promise.all([batcher.room(), turn()])
        batcher.write(Buffer.from(`${numberedAlert(n++, rule ?? 'r')}\n`))
      }
    },
    async end(): Promise<void> {
      batcher.end()
      await flowing
    },
    [Symbol.asyncDispose]: () => sink[Symbol.asyncDispose](),
  }
}

const numbers = (messages: readonly Received[]) =>
  messages.map(({ data }) => JSON.parse(data.toString()).output_fields.n as number)
/** As ranges, which a failure can show. */
const runs = (numbers: readonly number[]) => {
  const found: [number, number][] = []
  for (const n of numbers)
    if (found.at(-1)?.[1] === n - 1) found.at(-1)![1] = n
    else found.push([n, n])
  return found.map(([first, last]) => `${first}-${last}`)
}
const upTo = (end: number) => Array.from({ length: end }, (_, n) => n)

it('delivers each alert once, in order, and fills batches by being busy', async () => {
  await using server = await startNats()
  await using subscriber = await subscribe(server.url)
  await using forwarder = start(server.url)
  await forwarder.write(1)
  await subscriber.count(1)
  await forwarder.write(2000)
  await forwarder.end()
  await subscriber.count(2001)
  expect(runs(numbers(subscriber.messages))).toEqual(['0-2000'])
  const { counters, vitals } = forwarder
  expect(counters).toMatchObject({ delivered: 2001, resent: 0, sessions: 1 })
  expect(total(counters.batchAlerts.counts)).toBeLessThan(500)
  expect(vitals()).toMatchObject({ connected: true, waitingMs: 0, inFlightAlerts: 0 })
})

it('writes few alerts before it asks for them, each once', async () => {
  await using server = await startNats()
  await using subscriber = await subscribe(server.url)
  await using forwarder = start(server.url)
  const { counters } = forwarder
  await until('it is connected', () => forwarder.vitals().connected)
  let coalesced = 0
  for (let n = 1; n < 200; n++) {
    await forwarder.write(1)
    if (n % 2) await subscriber.count(n)
    if (counters.delivered < n) coalesced++
  }
  await forwarder.end()
  expect(runs(numbers(subscriber.messages))).toEqual(['0-198'])
  expect(coalesced).toBeGreaterThan(0)
  expect(counters).toMatchObject({ delivered: 199, resent: 0 })
})

it('sends again what was not confirmed when the session was lost, and counts that', async () => {
  await using server = await startNats()
  await using subscriber = await subscribe(server.url)
  await using proxy = await startProxy(server.port)
  await using forwarder = start(proxy.url)
  const { counters } = forwarder
  await until('it is connected', () => forwarder.vitals().connected)
  const cut = proxy.cutBefore('PONG')
  forwarder.batcher.write(
    Buffer.from(
      upTo(10)
        .map((n) => `${numberedAlert(n, 'r')}\n`)
        .join(''),
    ),
  )
  await cut
  await forwarder.end()
  await subscriber.count(20)
  expect(runs(numbers(subscriber.messages))).toEqual(['0-9', '0-9'])
  expect(counters).toMatchObject({ read: 10, delivered: 10, resent: 10, sessions: 2 })
})

it('holds alerts in order while there is no server, and reads on when there is room', async () => {
  await using server = await startNats('', { started: false })
  await using forwarder = start(server.url)
  const { counters, vitals } = forwarder
  const writing = forwarder.write(2000)
  await until('memory is full', () => counters.pausedSince !== undefined)
  await until('it lags', () => vitals().waitingMs > 200)
  const { bufferBytes, bufferAlerts, inFlightAlerts } = vitals()
  expect(bufferBytes).toBeGreaterThan(BATCH_BYTES)
  expect(bufferBytes).toBeLessThanOrEqual(4 * BATCH_BYTES)
  expect(bufferAlerts).toBeGreaterThan(inFlightAlerts)
  expect(counters.read).toBeLessThan(2000)
  await server.start()
  await using subscriber = await subscribe(server.url)
  await writing
  await forwarder.end()
  await until('the last has come', () => numbers(subscriber.messages.slice(-1))[0] === 1999)
  // The subscriber may come later than the first batches.
  expect(runs(numbers(subscriber.messages))).toEqual([expect.stringMatching(/^\d+-1999$/)])
  expect(counters).toMatchObject({ read: 2000, delivered: 2000, resent: 0 })
})

it('reads on into memory when a server confirms soon, but more slowly than alerts come', async () => {
  await using server = await startNats()
  await using subscriber = await subscribe(server.url)
  await using proxy = await startProxy(server.port, { answersAfterMs: 70 })
  await using forwarder = start(proxy.url, undefined, 16 * MIB)
  const { counters, vitals } = forwarder
  await until('it is connected', () => vitals().connected)
  const writing = forwarder.write(2000)
  await until('memory has some', () => vitals().bufferBytes > BATCH_BYTES)
  await writing
  await forwarder.end()
  expect(counters).toMatchObject({ delivered: 2000, resent: 0 })
  await until('all have come', () => subscriber.messages.length === 2000)
  expect(runs(numbers(subscriber.messages))).toEqual(['0-1999'])
})

it('spools what a server does not confirm for a second, and delivers it when it does', async () => {
  await using server = await startNats()
  await using subscriber = await subscribe(server.url)
  using dir = tempDir()
  using spool = await openSpool(dir.path, 8 * MIB)
  await using forwarder = start(server.url, spool, MIB)
  const { counters, vitals } = forwarder
  await forwarder.write(1)
  await until('it is confirmed', () => counters.delivered === 1)
  server.freeze()
  await forwarder.write(500)
  await until('all is on disk', () => counters.spooled === 500)
  expect(vitals()).toMatchObject({ connected: true, bufferAlerts: 0 })
  expect(vitals().waitingMs).toBeGreaterThan(1000)
  // Behind rows what comes goes to disk although it fills no batch.
  await forwarder.write(1)
  await until('that, too', () => counters.spooled === 501)
  server.thaw()
  await forwarder.end()
  await subscriber.count(502)
  expect(runs(numbers(subscriber.messages))).toEqual(['0-501'])
  expect(counters).toMatchObject({ delivered: 502, spooled: 0, resent: 0, sessions: 1 })
})

it('counts what the server refuses, and goes on', async () => {
  await using server = await startNats(`max_payload: 1024
    authorization { users: [
      { user: u, password: p, permissions: { publish: "falco.r" } }, { user: all, password: p }
    ] }`)
  await using subscriber = await subscribe(server.url, { user: 'all', pass: 'p' })
  await using forwarder = start(`nats://u:p@127.0.0.1:${server.port}`)
  await forwarder.write(3)
  await forwarder.write(2, 'denied')
  forwarder.batcher.write(
    Buffer.from(`{"rule":"r","priority":"Error","output":"${'x'.repeat(2000)}"}\n`),
  )
  await forwarder.write(1)
  await forwarder.end()
  await subscriber.count(4)
  expect(numbers(subscriber.messages)).toEqual([0, 1, 2, 5])
  const rejected = { permission_denied: 2, exceeds_max_payload: 1 }
  expect(forwarder.counters).toMatchObject({ read: 7, delivered: 4, rejected })
  expect(forwarder.rejects.sort()).toEqual([
    'exceeds_max_payload',
    'permission_denied',
    'permission_denied',
  ])
})

it('keeps for the next start what is in flight, in memory and not put yet', async () => {
  using dir = tempDir()
  {
    using spool = await openSpool(dir.path, 8 * MIB)
    await using forwarder = start('nats://127.0.0.1:1', spool, MIB)
    const { batcher, counters, sink } = forwarder
    await forwarder.write(500)
    await until('some is in flight', () => forwarder.vitals().inFlightAlerts > 0)
    await forwarder.write(1)
    sink.salvage(batcher.takeRest)
    expect(counters).toMatchObject({ read: 501, spooled: 501 })
  }
  await using server = await startNats()
  await using subscriber = await subscribe(server.url)
  using spool = await openSpool(dir.path, 8 * MIB)
  await using forwarder = start(server.url, spool)
  await subscriber.count(501)
  await forwarder.end()
  expect(runs(numbers(subscriber.messages))).toEqual(['0-500'])
  expect(forwarder.counters).toMatchObject({ restored: 501, delivered: 501, spooled: 0 })
})
