// From a JetStream stream to acknowledgements, on real nats-servers of both generations.

import { setTimeout as delay } from 'node:timers/promises'
import { connect } from 'nats'
import { describe, expect, it } from 'vitest'
import { openKvState } from '../../../src/respond/engine/state.ts'
import { streamFor } from '../../../src/respond/intake/consumer.ts'
import { deliveryOf, nak, pull } from '../../../src/respond/intake/pull.ts'
import { retryDelay } from '../../../src/respond/intake/settlement.ts'
import { consume } from '../../../src/respond/intake/workers.ts'
import type { Playbook } from '../../../src/respond/playbook/playbook.ts'
import { StepError } from '../../../src/respond/steps/step.ts'
import {
  type Engine,
  fakeStep,
  openEngine,
  planned,
  planOf,
  playbookOf,
} from '../../support/engine.ts'
import { numberedAlert } from '../../support/fixtures.ts'
import {
  askJetStream,
  createStream,
  type NatsServer,
  startNats,
  subscribe,
} from '../../support/nats.ts'
import { tempDir } from '../../support/temp.ts'
import { until } from '../../support/wait.ts'

const NEW = process.env.NATS_SERVER_NEW
if (NEW === undefined)
  console.warn('skipped: consuming from a newer nats-server, since NATS_SERVER_NEW names none')

const SUBJECT = 'falco.notice.terminal_shell_in_container'

async function publish(url: string, count: number, subject = SUBJECT): Promise<void> {
  await using connection = await connect({ servers: url })
  for (let n = 0; n < count; n++) connection.publish(subject, numberedAlert(n))
  await connection.flush()
}

interface ConsumerState {
  readonly num_ack_pending: number
  readonly num_pending: number
  readonly ack_floor: { readonly stream_seq: number }
  readonly config: Record<string, unknown>
}
const consumerState = async (url: string, name = 'falco-nats-test') =>
  (await askJetStream(url, `CONSUMER.INFO.ALERTS.${name}`)) as unknown as ConsumerState

/** Nothing is pending, and nothing is unacknowledged. */
const settled = (url: string, name?: string) =>
  until('all is acknowledged', async () => {
    const { num_ack_pending, num_pending } = await consumerState(url, name)
    return num_ack_pending + num_pending === 0
  })

function start(engine: Engine, playbook: Playbook, stop = engine.stop.signal) {
  const { connection, desk, logger: log } = engine
  return consume({ connection, playbook, desk, stream: undefined, prefix: 'falco-nats', log, stop })
}

const bound = (engine: Engine, count = 1) =>
  until(
    'the consumers are bound',
    () => engine.log().filter(({ msg }) => msg === 'waiting for alerts').length >= count,
  )

const isDone = (engine: Engine, count: number) =>
  until(`${count} outcomes (there are ${engine.told.length})`, () => engine.told.length >= count)

describe.each([
  ['2.9', 'nats-server'],
  ['a newer one', NEW],
])('with nats-server %s', (_name, program) => {
  const test = it.skipIf(program === undefined)

  async function withServer(act: (server: NatsServer) => Promise<void>): Promise<void> {
    using dir = tempDir()
    const jetstream = `jetstream { store_dir: "${dir.path}" }`
    await using server = await startNats(jetstream, { program: program! })
    await createStream(server.url)
    await act(server)
  }

  test('acknowledges after the last step, and not before', () =>
    withServer(async ({ url }) => {
      const gate = Promise.withResolvers<void>()
      const playbook = playbookOf([
        fakeStep(() => 'first', { name: 'one' }),
        fakeStep(() => gate.promise.then(() => 'last'), { name: 'two' }),
      ])
      await using engine = await openEngine(url, planOf([playbook]))
      const { isReady } = start(engine, playbook)
      await bound(engine)
      expect(isReady()).toBe(true)
      await publish(url, 1)
      await isDone(engine, 1)
      expect((await consumerState(url)).num_ack_pending).toBe(1)
      gate.resolve()
      await settled(url)
      expect(engine.told.map(({ step, outcome }) => [step, outcome])).toEqual([
        ['one', 'ok'],
        ['two', 'ok'],
      ])
      const { config } = await consumerState(url)
      expect(config).toMatchObject({
        durable_name: 'falco-nats-test',
        ack_policy: 'explicit',
        ack_wait: 30e9,
        max_deliver: -1,
        deliver_policy: 'new',
        filter_subject: 'falco.notice.>',
      })
    }))

  test('tries again with growing pauses, then keeps the alert and why in the dead letters', () =>
    withServer(async ({ url }) => {
      const playbook = playbookOf(
        [fakeStep(() => Promise.reject(new StepError('API is äway', { retryable: true })))],
        { maxDeliver: 3 },
      )
      await using engine = await openEngine(url, planOf([playbook]))
      await using subscriber = await subscribe(url)
      start(engine, playbook)
      await bound(engine)
      await publish(url, 1)
      const dead = await until('there is a dead letter', () =>
        subscriber.messages.find(({ subject }) => subject === 'falco.dead_letter.test'),
      )
      expect(dead.data.toString()).toBe(numberedAlert(0))
      expect(dead.headers?.get('Falco-Respond-Reason')).toMatch(
        /^fake: API is .*way \(tried 3 times\)$/,
      )
      expect(dead.headers?.get('Falco-Respond-Subject')).toBe(SUBJECT)
      expect(dead.headers?.get('Falco-Respond-Deliveries')).toBe('3')
      await settled(url)
      expect(engine.told.map(({ delivery }) => delivery)).toEqual([1, 2, 3])
      const pauses = engine
        .log()
        .filter(({ msg }) => msg === 'an alert will be tried again')
        .map(({ afterMs }) => Number(afterMs))
      expect(pauses).toHaveLength(2)
      expect(pauses[0]).toBeGreaterThanOrEqual(750)
      expect(pauses[1]).toBeGreaterThanOrEqual(3000)
      const text = await engine.metrics.text()
      expect(text).toContain('alerts_total{playbook="test",result="retried"} 2')
      expect(text).toContain('alerts_total{playbook="test",result="dead_letter"} 1')
    }))

  test('does not run an alert again that ended the process each time', () =>
    withServer(async ({ url }) => {
      let ran = 0
      const playbook = playbookOf([fakeStep(() => void ran++)], { maxDeliver: 2 })
      await using engine = await openEngine(url, planOf([playbook]))
      await using subscriber = await subscribe(url)
      const first = new AbortController()
      const { finished } = start(engine, playbook, first.signal)
      await bound(engine)
      first.abort()
      await finished
      await engine.connection.flush()
      await publish(url, 1)
      // Those who took it went away without a word.
      await using crashing = await connect({ servers: url })
      for (let delivery = 1; delivery <= 2; delivery++) {
        const consumer = { stream: 'ALERTS', name: 'falco-nats-test' }
        const [message] = await pull(crashing, consumer, new AbortController().signal)
        expect(deliveryOf(message!)).toBe(delivery)
        message!.respond(nak(0))
        await crashing.flush()
      }
      start(engine, playbook)
      const dead = await until('there is a dead letter', () =>
        subscriber.messages.find(({ subject }) => subject === 'falco.dead_letter.test'),
      )
      expect(dead.headers?.get('Falco-Respond-Reason')).toMatch(/^delivered 3 times and never/)
      expect(ran).toBe(0)
      await settled(url)
    }))

  test('lets a slow playbook hold up no other', () =>
    withServer(async ({ url }) => {
      const never = new Promise<string>(() => {})
      let running = 0
      const slow = playbookOf(
        [
          fakeStep(() => {
            running++
            return never
          }),
        ],
        { name: 'slow', concurrency: 2 },
      )
      const quick = playbookOf([fakeStep(() => 'quick')], { name: 'quick' })
      await using engine = await openEngine(url, planOf([slow, quick]))
      start(engine, slow)
      start(engine, quick)
      await bound(engine, 2)
      await publish(url, 50)
      await isDone(engine, 50)
      expect(engine.told.every(({ playbook }) => playbook === 'quick')).toBe(true)
      await settled(url, 'falco-nats-quick')
      expect(running).toBe(2)
      expect((await consumerState(url, 'falco-nats-slow')).num_ack_pending).toBe(2)
      engine.abandon.abort()
    }))

  test('acknowledges what is not meant, and sends to the dead letters what is no alert', () =>
    withServer(async ({ url }) => {
      const playbook = playbookOf([fakeStep(() => 'done')], {
        on: ['falco.>'],
        match: { rule: ['Terminal shell in container'] },
      })
      await using engine = await openEngine(url, planOf([playbook]))
      start(engine, playbook)
      await bound(engine)
      await using connection = await connect({ servers: url })
      connection.publish('falco.error.other', numberedAlert(1, 'Other'))
      connection.publish('falco.error.bad', 'no JSON')
      connection.publish(SUBJECT, numberedAlert(2))
      await isDone(engine, 1)
      await settled(url)
      const text = await engine.metrics.text()
      expect(text).toContain('result="invalid"} 1')
      expect(text).toContain('result="done"} 1')
      // The other one, our own outcome and our own dead letter.
      expect(text).toContain('result="not_matched"} 3')
    }))

  test('finishes what runs at a stop and begins nothing', () =>
    withServer(async ({ url }) => {
      const gate = Promise.withResolvers<string>()
      let begun = 0
      const playbook = playbookOf(
        [
          fakeStep(() => {
            begun++
            return gate.promise
          }),
        ],
        { concurrency: 2 },
      )
      await using engine = await openEngine(url, planOf([playbook]))
      const { finished } = start(engine, playbook)
      await bound(engine)
      await publish(url, 5)
      await until('two run', () => begun === 2)
      engine.stop.abort()
      gate.resolve('done')
      await finished
      await engine.connection.flush()
      expect(begun).toBe(2)
      expect(engine.told).toHaveLength(2)
      expect(await consumerState(url)).toMatchObject({ num_ack_pending: 0, num_pending: 3 })
    }))

  test('has an existing consumer let through what the playbook wants now', () =>
    withServer(async ({ url }) => {
      const subjects = [
        ['falco.error.a'],
        ['falco.notice.>', 'falco.critical.>'],
        ['falco.critical.>'],
      ]
      for (const on of subjects) {
        const playbook = playbookOf([fakeStep(() => 'done')], { on })
        await using engine = await openEngine(url, planOf([playbook]))
        const { finished } = start(engine, playbook)
        await bound(engine)
        const { config } = await consumerState(url)
        // The older one cannot go from a literal filter to wildcards.
        if (program === 'nats-server' && on[0]?.endsWith('>'))
          expect(config.filter_subject).toBeUndefined()
        else if (on.length === 1) expect(config.filter_subject).toBe(on[0])
        else expect(config.filter_subjects).toEqual(on)
        for (const subject of on) await publish(url, 1, subject.replace('>', 'x'))
        await isDone(engine, on.length)
        engine.stop.abort()
        await finished
      }
    }))
})

it('tries for more than a minute before it gives up, as the default has it', () => {
  const pauses = [1, 2, 3, 4].map(retryDelay)
  expect(pauses.reduce((sum, ms) => sum + ms)).toBeGreaterThan(60_000)
  expect(Math.max(...pauses, retryDelay(1000))).toBeLessThanOrEqual(60_000)
})

it('takes no stream that has only a part of the alerts when others have the rest', async () => {
  using dir = tempDir()
  await using server = await startNats(`jetstream { store_dir: "${dir.path}" }`)
  const make = (name: string, ...subjects: string[]) =>
    askJetStream(server.url, `STREAM.CREATE.${name}`, { name, subjects })
  await make('A', 'falco.critical.>')
  await using connection = await connect({ servers: server.url })
  expect(await streamFor(connection, ['falco.>'])).toBe('A')
  await make('B', 'falco.dead_letter.>', 'falco.response.>')
  await make('C', 'falco.notice.>', 'audit.>')
  expect(await streamFor(connection, ['falco.>'])).toBeUndefined()
  expect(await streamFor(connection, ['falco.*.my_rule', 'falco.notice.x'])).toBe('C')
  expect(await streamFor(connection, ['falco.dead_letter.x'])).toBe('B')
  await askJetStream(server.url, 'STREAM.DELETE.A')
  expect(await streamFor(connection, ['falco.>'])).toBe('C')
})

it('goes on when server, stream and consumer were away, and says so once', async () => {
  using dir = tempDir()
  await using server = await startNats(`jetstream { store_dir: "${dir.path}" }`)
  const { url } = server
  const playbook = playbookOf([fakeStep(() => 'done')])
  await using engine = await openEngine(url, planOf([playbook]))
  const { isReady } = start(engine, playbook)
  const troubles = () =>
    engine.log().filter(({ msg }) => msg === 'cannot get alerts, will keep trying')
  await until('it misses the stream', () => troubles().length > 0)
  expect(isReady()).toBe(false)
  await createStream(url)
  await bound(engine)
  expect(troubles()).toHaveLength(1)

  await askJetStream(url, 'CONSUMER.DELETE.ALERTS.falco-nats-test')
  // Before there is another one.
  await publish(url, 3)
  await isDone(engine, 3)
  await bound(engine, 2)

  await server.stop()
  await server.start()
  await publish(url, 3)
  await isDone(engine, 6)
  await settled(url)
})

it('says it is working for longer than a delivery may take', async () => {
  using dir = tempDir()
  await using server = await startNats(`jetstream { store_dir: "${dir.path}" }`)
  await createStream(server.url)
  const playbook = playbookOf([
    planned(
      fakeStep(() => delay(33_000, 'slow')),
      { timeoutMs: 60_000 },
    ),
  ])
  await using engine = await openEngine(server.url, planOf([playbook]), {
    stateOf: (connection) => openKvState(connection, 'STATE'),
  })
  start(engine, playbook)
  await bound(engine)
  await publish(server.url, 1)
  await until('it is done', () => engine.told.length > 0)
  await settled(server.url)
  expect(engine.told.map(({ delivery }) => delivery)).toEqual([1])
})
