// Our delivery, unchanged, with the simulated server: from the batcher to the server, under faults drawn from seeds.

import pino from 'pino'
import { expect, it } from 'vitest'
import { createCounters } from '../../../src/forward/accounting/counters.ts'
import { createAlertBuffer } from '../../../src/forward/buffer/alert-buffer.ts'
import { createBatcher } from '../../../src/forward/buffer/batcher.ts'
import { createConnector } from '../../../src/forward/delivery/connector.ts'
import { createCoreNats } from '../../../src/forward/delivery/core-nats.ts'
import { createJetStreamTransport } from '../../../src/forward/delivery/jetstream/jetstream.ts'
import { openPublisher } from '../../../src/forward/delivery/publisher.ts'
import { createBatchPool } from '../../../src/forward/encoding/batch.ts'
import { createEncoder } from '../../../src/forward/encoding/encoder.ts'
import { createNotifier } from '../../../src/shared/notifier.ts'
import type { FaultKind } from '../fault.ts'
import { createRandom } from '../random.ts'
import type { Life } from '../world.ts'
import type { Facts } from './facts.ts'
import { SERVER_FAULTS } from './faults.ts'
import { alertLine, JETSTREAM, OPTIONS, setUp } from './fixture.ts'
import { JETSTREAM_FAULTS } from './jetstream-faults.ts'
import type { ServerOptions, SimulatedServer } from './server.ts'

const BATCH_BYTES = 2048
const MAX_IN_FLIGHT = 8
const ALERTS = 30
/** JetStream's id. */
const HEADERS_BYTES_MAX = 60
const SETTINGS = { name: 'FALCO', subject: 'falco.>', maxAgeMs: 0, duplicateWindowMs: 120_000 }
const log = pino({ level: 'silent' })

/** What `forward` puts together, without a source and a spool. */
function startForwarder(
  { mode }: ServerOptions,
  seed: number,
  life: Life,
  { server, servers }: Pick<ReturnType<typeof setUp>, 'server' | 'servers'>,
) {
  const { clock } = life
  const random = createRandom(seed, 'forwarder').part
  const counters = createCounters()
  const pool = createBatchPool(BATCH_BYTES)
  const stateChanged = createNotifier()
  const encoder = createEncoder(({ priority }) => `falco.${priority.toLowerCase()}.rule_1`)
  const parts = { pool, encoder, counters, stateChanged, log, clock }
  const batcher = createBatcher({
    ...parts,
    readBytes: BATCH_BYTES >> 1,
    maxLineBytes: 4096,
    minPriority: 7,
    dropInternal: false,
    onReport() {},
    events: undefined,
    onReject() {},
  })
  const jetstream = () =>
    createJetStreamTransport({
      ...{ settings: SETTINGS, makeStream: server.makeStream(life), maxInFlight: MAX_IN_FLIGHT },
      ...{ counters, log, clock, random },
    })
  const sink = openPublisher({
    ...parts,
    connector: createConnector({ ...parts, servers, dial: server.dial(life), random }),
    transport: mode === 'jetstream' ? jetstream() : createCoreNats(clock),
    buffer: createAlertBuffer({ ...parts, bufferBytes: 8192, whenFull: 'block', spool: undefined }),
    rejectLog() {},
  })
  const flow = async () => {
    for await (const batch of batcher.batches(sink)) await sink.put(batch)
    await sink.drain()
    await sink[Symbol.asyncDispose]()
  }
  return { counters, batcher, delivered: flow() }
}

async function run(
  options: ServerOptions,
  faults: readonly FaultKind<SimulatedServer>[],
  seed: number,
) {
  const set = setUp(options, seed)
  const { server, facts, startLife, pass, world } = set
  const { time } = world
  const life = startLife()
  const random = createRandom(seed, 'scenario')
  const { counters, batcher, delivered } = startForwarder(options, seed, life, set)
  const raise = async () => {
    for (let number = 1; number <= ALERTS; number++) {
      await batcher.room()
      const line = alertLine(number, lookOf(number))
      batcher.write(Buffer.from(`${line}\n`))
      if (random.onceIn(2)) await life.clock.delay(random.pick([0, 1, 10, 1000, 3000]))
    }
    batcher.end()
    await delivered
  }
  for (let fault = faults.length > 0 ? random.below(5) : 0; fault > 0; fault--) {
    const { draw, strike } = random.pick(faults)
    const parameters = draw(random)
    time.at(random.below(6_000), () => strike(server, parameters))
  }
  time.at(40_000, server.heal)
  let isDelivered = false
  void raise().then(() => {
    isDelivered = true
  })
  let unansweredMax = 0
  while (!isDelivered && time.now() < 200_000) {
    await pass(100)
    for (const { unanswered } of facts.sessions)
      unansweredMax = Math.max(unansweredMax, unanswered.size)
  }
  return { ...set, counters, isDelivered, unansweredMax }
}

/** The same for an alert in each run. */
const lookOf = (number: number) => ({ severity: number % 7, length: 150 + ((number * 37) % 450) })

/** Alerts that may not arrive, for a reason that is true. */
function refusedIn({ deniedNumbers, refusedNumbers, lowestMaxPayload }: Facts): Set<number> {
  const tooLarge = upTo(ALERTS).filter(
    (number) => lookOf(number).length + HEADERS_BYTES_MAX > lowestMaxPayload,
  )
  return new Set([...deniedNumbers, ...refusedNumbers, ...tooLarge])
}

const upTo = (last: number) => Array.from({ length: last }, (_, index) => index + 1)

const firstOnes = (all: readonly { readonly number: number | undefined }[]) => [
  ...new Set(all.map(({ number }) => number!)),
]

const SEEDS = upTo(100)
const CORE = { ...OPTIONS, servers: 2 }
const STREAM = { ...JETSTREAM, stream: { ...JETSTREAM.stream, exists: false } }

it.each([
  ['core', CORE, []],
  ['core with faults', CORE, Object.values(SERVER_FAULTS)],
  ['JetStream', STREAM, []],
  [
    'JetStream with faults',
    STREAM,
    [...Object.values(SERVER_FAULTS), ...Object.values(JETSTREAM_FAULTS)],
  ],
])('delivers each alert: %s', async (_, options, faults) => {
  for (const seed of SEEDS) {
    const { facts, counters, isDelivered, unansweredMax, violations } = await run(
      options,
      faults,
      seed,
    )
    const { delivered, rejected } = counters
    const of = `seed ${seed}`
    expect(violations, of).toEqual([])
    expect(isDelivered, of).toBe(true)
    const rejects = Object.values(rejected).reduce((sum, count) => sum + count)
    expect(delivered + rejects, of).toBe(ALERTS)
    const there = firstOnes(options.mode === 'core' ? facts.arrivals : facts.stored)
    const refused = refusedIn(facts)
    const missing = upTo(ALERTS).filter((number) => !there.includes(number) && !refused.has(number))
    expect(missing, of).toEqual([])
    expect(rejects, of).toBeLessThanOrEqual(refused.size)
    expect(rejects, of).toBeGreaterThanOrEqual(ALERTS - there.length)
    for (const number of facts.confirmed) expect(there, of).toContain(number)
    // An alert that was denied, or too large, for a while may come after those behind it.
    const inOrder = there.filter((number) => !refused.has(number))
    if (options.mode === 'core') expect(inOrder, of).toEqual(inOrder.toSorted((a, b) => a - b))
    expect(unansweredMax, of).toBeLessThanOrEqual(MAX_IN_FLIGHT)
    if (faults.length === 0) {
      expect(there, of).toEqual(upTo(ALERTS))
      expect(facts.confirmed.size, of).toBe(ALERTS)
      expect(counters, of).toMatchObject({ delivered: ALERTS, resent: 0, duplicates: 0 })
    }
  }
})

it('runs the same each time', async () => {
  const once = async () => {
    const { facts, counters } = await run(STREAM, Object.values(JETSTREAM_FAULTS), 7)
    return JSON.stringify([facts, counters])
  }
  expect(await once()).toBe(await once())
})
