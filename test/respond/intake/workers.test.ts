// From a JetStream stream to acknowledgements, on real nats-servers of both generations.

import { setTimeout as delay } from 'node:timers/promises'
import { connect } from 'nats'
import { describe, expect, it } from 'vitest'
import { openKvState } from '../../../src/respond/engine/state.ts'
import { deliveryOf, nak, pull } from '../../../src/respond/intake/workers.ts'
import { StepError } from '../../../src/respond/steps/step.ts'
import {
  allAcknowledged,
  bound,
  consumerState,
  GENERATIONS,
  isDone,
  publish,
  start,
  withJetStream,
} from '../../support/consuming.ts'
import { fakeStep, openEngine, planned, planOf, playbookOf, SUBJECT } from '../../support/engine.ts'
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

describe.each(GENERATIONS)('with nats-server %s', (_name, program) => {
  const test = it.skipIf(program === undefined)
  const withServer = (act: (server: NatsServer) => Promise<void>) =>
    withJetStream(act, { program: program! })

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
      await allAcknowledged(url)
      expect(engine.reported.map(({ step, outcome }) => [step, outcome])).toEqual([
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
      await allAcknowledged(url)
      expect(engine.reported.map(({ delivery }) => delivery)).toEqual([1, 2, 3])
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
      await allAcknowledged(url)
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
      expect(engine.reported.every(({ playbook }) => playbook === 'quick')).toBe(true)
      await allAcknowledged(url, 'falco-nats-quick')
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
      await allAcknowledged(url)
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
      expect(engine.reported).toHaveLength(2)
      expect(await consumerState(url)).toMatchObject({ num_ack_pending: 0, num_pending: 3 })
    }))
})

it('goes on when server, stream and consumer were away, and says so once', async () => {
  using dir = tempDir()
  await using server = await startNats(`jetstream { store_dir: "${dir.path}" }`)
  const { url } = server
  const playbook = playbookOf([fakeStep(() => 'done')])
  await using engine = await openEngine(url, planOf([playbook]))
  const { isReady } = start(engine, playbook)
  const failures = () =>
    engine.log().filter(({ msg }) => msg === 'cannot get alerts, will keep trying')
  await until('it misses the stream', () => failures().length > 0)
  expect(isReady()).toBe(false)
  await createStream(url)
  await bound(engine)
  expect(failures()).toHaveLength(1)

  await askJetStream(url, 'CONSUMER.DELETE.ALERTS.falco-nats-test')
  // Before there is another one.
  await publish(url, 3)
  await isDone(engine, 3)
  await bound(engine, 2)

  await server.stop()
  await server.start()
  await publish(url, 3)
  await isDone(engine, 6)
  await allAcknowledged(url)
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
  await until('it is done', () => engine.reported.length > 0)
  await allAcknowledged(server.url)
  expect(engine.reported.map(({ delivery }) => delivery)).toEqual([1])
})
