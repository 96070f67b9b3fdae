// Without JetStream: a queue group, with retries and dead letters from memory.

import { expect, it } from 'vitest'
import { listen } from '../../../src/respond/intake/queue-group.ts'
import type { Playbook } from '../../../src/respond/playbook/playbook.ts'
import { StepError } from '../../../src/respond/steps/step.ts'
import { publish } from '../../support/consuming.ts'
import { type Engine, fakeStep, openEngine, planOf, playbookOf } from '../../support/engine.ts'
import { numberedAlert } from '../../support/fixtures.ts'
import { startNats, subscribe } from '../../support/nats.ts'
import { until } from '../../support/wait.ts'

async function start(engine: Engine, playbook: Playbook) {
  const { connection, settle, metrics, logger: log, stop } = engine
  const name = `falco-nats-${playbook.name}`
  const source = listen({ connection, playbook, name, settle, metrics, log, stop: stop.signal })
  await connection.flush()
  return source
}

it('shares alerts among replicas, each once, even where subjects overlap', async () => {
  await using server = await startNats()
  const seen: unknown[] = []
  const step = fakeStep(({ alert }) => {
    seen.push((alert.output_fields as { n: number }).n)
    return 'done'
  })
  const playbook = playbookOf([step], {
    on: ['falco.notice.>', 'falco.*.terminal_shell_in_container'],
  })
  await using one = await openEngine(server.url, planOf([playbook]))
  await using two = await openEngine(server.url, planOf([playbook]))
  await start(one, playbook)
  await start(two, playbook)
  await publish(server.url, 200)
  await until('all are done', () => seen.length >= 200)
  expect(new Set(seen).size).toBe(200)
  expect(seen).toHaveLength(200)
  expect(Math.min(one.reported.length, two.reported.length)).toBeGreaterThan(0)
})

it('runs no more than concurrency at a time, tries again by itself, and keeps dead letters', async () => {
  await using server = await startNats()
  let running = 0
  let most = 0
  const step = fakeStep(async ({ alert, signal: _signal }) => {
    running++
    most = Math.max(most, running)
    await new Promise((resolve) => setImmediate(resolve))
    running--
    const { n } = alert.output_fields as { n: number }
    if (n === 3) throw new StepError('never works', { retryable: true })
    return 'done'
  })
  const playbook = playbookOf([step], { concurrency: 2, maxDeliver: 2 })
  await using engine = await openEngine(server.url, planOf([playbook]))
  await using subscriber = await subscribe(server.url)
  await start(engine, playbook)
  await publish(server.url, 20)
  const dead = await until('there is a dead letter', () =>
    subscriber.messages.find(({ subject }) => subject === 'falco.dead_letter.test'),
  )
  expect(dead.data.toString()).toBe(numberedAlert(3))
  expect(dead.headers?.get('Falco-Respond-Reason')).toBe('fake: never works (tried 2 times)')
  expect(most).toBe(2)
  expect(
    engine.reported.map(({ outcome }) => outcome).filter((what) => what === 'ok'),
  ).toHaveLength(19)
})

it('finishes at a stop what it has, and says what it cannot', async () => {
  await using server = await startNats()
  const gate = Promise.withResolvers<void>()
  const step = fakeStep(async ({ alert }) => {
    await gate.promise
    if ((alert.output_fields as { n: number }).n === 1) throw new Error('away')
    return 'done'
  })
  const playbook = playbookOf([step], { concurrency: 1 })
  await using engine = await openEngine(server.url, planOf([playbook]))
  const { finished } = await start(engine, playbook)
  await publish(server.url, 4)
  await until('one runs', async () =>
    (await engine.metrics.text()).includes('in_progress{playbook="test"} 1'),
  )
  engine.stop.abort()
  gate.resolve()
  await finished
  expect(engine.reported).toHaveLength(4)
  expect(engine.log().filter(({ level }) => level === 'error')).toMatchObject([
    { msg: 'lost an alert: no time to try it again', delivery: 2 },
  ])
  expect(await engine.metrics.text()).toContain('dropped_total{playbook="test"} 1')
})

it('loses what comes when ten thousand wait, counts it and says so', async () => {
  await using server = await startNats()
  const gate = Promise.withResolvers<string>()
  const playbook = playbookOf([fakeStep(() => gate.promise)], { concurrency: 1 })
  await using engine = await openEngine(server.url, planOf([playbook]))
  await start(engine, playbook)
  await publish(server.url, 10_011)
  await until('ten are lost', async () =>
    (await engine.metrics.text()).includes('dropped_total{playbook="test"} 10'),
  )
  const lines = engine.log().filter(({ msg }) => msg === 'lost alerts: too many wait')
  expect(lines).toHaveLength(1)
  engine.abandon.abort()
})

it('tries once more at a stop what waits to be tried again', async () => {
  await using server = await startNats()
  const step = fakeStep(() => Promise.reject(new Error('away')))
  const playbook = playbookOf([step], { concurrency: 2 })
  await using engine = await openEngine(server.url, planOf([playbook]))
  const { finished } = await start(engine, playbook)
  await publish(server.url, 5)
  // The pause after the third delivery takes twelve seconds at least.
  await until('all were delivered thrice', () => engine.reported.length >= 15)
  const begun = performance.now()
  engine.stop.abort()
  await finished
  expect(performance.now() - begun).toBeLessThan(8_000)
  expect(engine.reported.map(({ delivery }) => delivery).sort()).toEqual(
    [1, 2, 3, 4].flatMap((delivery) => Array(5).fill(delivery)),
  )
  expect(await engine.metrics.text()).toContain('dropped_total{playbook="test"} 5')
})
