// The publish window over real sessions. In place of a stream there is a subscriber that answers as a stream
// would, or as none should: when a test wants it, with failures of its choice, or never.

import { setImmediate as turn } from 'node:timers/promises'
import { connect, type Msg } from 'nats'
import { expect, it } from 'vitest'
import { createCounters } from '../../../../src/forward/accounting/counters.ts'
import { createJetStreamTransport } from '../../../../src/forward/delivery/jetstream/jetstream.ts'
import { systemClock } from '../../../../src/shared/clock.ts'
import { batchOf } from '../../../support/batches.ts'
import { numberedAlert } from '../../../support/fixtures.ts'
import { startNats } from '../../../support/nats.ts'
import { recordingLog } from '../../../support/recording-log.ts'
import { dial } from '../../../support/sessions.ts'
import { until } from '../../../support/wait.ts'

const STORED = '{"stream":"S", "seq":1}'
const DUPLICATE = '{"stream":"S", "seq":1, "duplicate": true}'
const OFFLINE = '{"error":{"err_code":10118,"description":"stream is offline"}}'

async function setUp({ maxInFlight = 4, config = '' } = {}) {
  await using stack = new AsyncDisposableStack()
  const server = stack.use(await startNats(config))
  const subscriber = stack.use(await connect({ servers: server.url }))
  const messages: Msg[] = []
  subscriber.subscribe('falco.>', { callback: (_, message) => void messages.push(message) })
  await subscriber.flush()
  const { log, lines } = recordingLog()
  const counters = createCounters()
  const settings = { name: 'S', subject: 'falco.>', maxAgeMs: 0, duplicateWindowMs: 1000 }
  const transport = createJetStreamTransport({
    settings,
    makeStream: undefined,
    maxInFlight,
    counters,
    log,
    clock: systemClock,
    random: Math.random,
  })
  const session = stack.use(await dial(server.url))
  const rest = stack.move()
  const numberOf = (message: Msg) =>
    message.json<{ output_fields: { n: number } }>().output_fields.n
  return {
    session,
    transport,
    counters,
    warnings: () => lines.map(({ trouble }) => trouble).filter(Boolean),
    numbers: () => messages.map(numberOf),
    /** Takes the messages that have come, when there are so many. */
    async take(count: number): Promise<Msg[]> {
      await until(`${count} messages have come`, () => messages.length >= count)
      return messages.splice(0, count).sort((a, b) => numberOf(a) - numberOf(b))
    },
    [Symbol.asyncDispose]: () => rest.disposeAsync(),
  }
}

const alerts = (count: number) => batchOf(Array.from({ length: count }, (_, n) => numberedAlert(n)))

it('has no more in flight than it may, and settles batches in their order', async () => {
  await using set = await setUp({ maxInFlight: 3 })
  const settled: number[] = []
  const batches = [alerts(2), batchOf([numberedAlert(2), numberedAlert(3)])].map((batch, n) =>
    set.transport.publish(set.session, batch, 0).then(() => settled.push(n)),
  )
  const [first, ...others] = await set.take(3)
  for (const other of others) other.respond(STORED)
  await set.session.confirm()
  expect([set.numbers(), settled]).toEqual([[], []])
  first!.respond(STORED)
  const [last] = await set.take(1)
  last!.respond(STORED)
  await Promise.all(batches)
  expect(settled).toEqual([0, 1])
  expect(set.counters).toMatchObject({ resent: 0, duplicates: 0 })
})

it('tries the oldest that failed alone, then the others in order, then what is new', async () => {
  await using set = await setUp({ maxInFlight: 3 })
  const done = set.transport.publish(set.session, alerts(4), 0)
  for (const message of (await set.take(3)).reverse()) message.respond(OFFLINE)
  const [probe] = await set.take(1)
  expect(probe!.json()).toMatchObject({ output_fields: { n: 0 } })
  await set.session.confirm()
  expect(set.numbers()).toEqual([])
  probe!.respond(DUPLICATE)
  await until('the others are tried', () => set.numbers().length >= 2)
  expect(set.numbers()).toEqual([1, 2])
  for (const message of await set.take(2)) message.respond(STORED)
  const [last] = await set.take(1)
  last!.respond(STORED)
  expect(await done).toEqual([])
  expect(set.counters).toMatchObject({ resent: 3, duplicates: 1 })
  expect(set.warnings()).toEqual(['unavailable'])
})

it('tries again what is not answered, also when it is tried again already', async () => {
  await using set = await setUp({ maxInFlight: 2 })
  const done = set.transport.publish(set.session, alerts(2), 0)
  for (const message of await set.take(2)) message.respond(OFFLINE)
  const [probe] = await set.take(1)
  // The server has confirmed the probe itself before its answer comes.
  await set.session.confirm()
  await set.session.confirm()
  probe!.respond(STORED)
  await set.take(1)
  const [again] = await set.take(1)
  again!.respond(STORED)
  expect(await done).toEqual([])
  expect(set.warnings()).toEqual(['unavailable', 'timeout'])
})

it('takes no answer for another alert that has the slot of an earlier one', async () => {
  await using set = await setUp({ maxInFlight: 1 })
  const done = set.transport.publish(set.session, alerts(2), 0)
  const [first] = await set.take(1)
  first!.respond(STORED)
  const [second] = await set.take(1)
  first!.respond(OFFLINE)
  first!.respond(STORED)
  let isDone = false
  void done.then(() => {
    isDone = true
  })
  await set.session.confirm()
  await set.session.confirm()
  expect([isDone, set.warnings()]).toEqual([false, []])
  second!.respond(STORED)
  expect(await done).toEqual([])
})

it('refuses what is too large with its id, and sends the rest', async () => {
  await using set = await setUp({ config: 'max_payload: 1024' })
  const large = numberedAlert(1).padEnd(1000)
  const done = set.transport.publish(
    set.session,
    batchOf([numberedAlert(0), large, numberedAlert(2)]),
    0,
  )
  for (const message of await set.take(2)) message.respond(STORED)
  expect(await done).toEqual([
    { reason: 'exceeds_max_payload', detail: expect.objectContaining({ maxPayload: 1024 }) },
  ])
})

it('gives up no batch of a session that ends: nothing settles, nothing is thrown', async () => {
  await using set = await setUp()
  let settled = false
  const settle = () => {
    settled = true
  }
  set.transport.publish(set.session, alerts(2), 0).then(settle, settle)
  await set.take(2)
  set.session.close('lost')
  expect(await set.session.closed).toBe('lost')
  set.transport.publish(set.session, alerts(2), 0).then(settle, settle)
  await turn()
  expect(settled).toBe(false)
})
