// One alert through one playbook, with small steps and a real state.

import { afterAll, beforeAll, expect, it } from 'vitest'
import { idOf } from '../../../src/respond/engine/runner.ts'
import { createMemoryState } from '../../../src/respond/engine/state.ts'
import { StepError } from '../../../src/respond/steps/step.ts'
import {
  arrivalOf,
  fakeStep,
  openEngine,
  planned,
  planOf,
  playbookOf,
  SUBJECT,
  withEngine,
} from '../../support/engine.ts'
import { type NatsServer, startNats, subscribe } from '../../support/nats.ts'
import { until } from '../../support/wait.ts'

let server: NatsServer
beforeAll(async () => {
  server = await startNats()
})
afterAll(() => server[Symbol.asyncDispose]())

const DONE = { kind: 'done', matched: true }

it('runs the steps in order and tells of each on NATS', async () => {
  const ran: string[] = []
  const steps = ['one', 'two', 'three'].map((name) =>
    fakeStep(
      ({ id, subject, playbook, alert }) => {
        ran.push(`${name} ${id.length} ${subject} ${playbook} ${alert.rule}`)
        return name === 'two'
          ? { outcome: 'skipped', detail: 'nothing\nto do' }
          : `did \u202e${name}`
      },
      { name },
    ),
  )
  const playbook = playbookOf(steps)
  await using subscriber = await subscribe(server.url)
  await withEngine(server.url, playbook, async ({ runner, connection }) => {
    expect(await runner.handle(playbook, arrivalOf())).toEqual(DONE)
    await connection.flush()
  })
  expect(ran).toEqual(
    ['one', 'two', 'three'].map((name) => `${name} 22 ${SUBJECT} test Terminal shell in container`),
  )
  await subscriber.count(3)
  expect(subscriber.messages.map(({ subject }) => subject)).toEqual([
    'falco.response.test.one.ok',
    'falco.response.test.two.skipped',
    'falco.response.test.three.ok',
  ])
  const [one, two] = subscriber.messages.map(({ data }) => JSON.parse(data.toString()))
  expect(one).toEqual({
    time: expect.stringMatching(/^\d{4}-.*Z$/),
    id: idOf(arrivalOf()),
    playbook: 'test',
    step: 'one',
    outcome: 'ok',
    subject: SUBJECT,
    rule: 'Terminal shell in container',
    priority: 'Notice',
    target: {},
    durationMs: expect.any(Number),
    detail: 'did \\u{202e}one',
    dryRun: false,
    delivery: 1,
  })
  expect(two.detail).toBe('nothing\\u{a}to do')
})

it('does not act upon what it is not meant for, what is no alert, and what it says itself', async () => {
  let ran = 0
  const playbook = playbookOf([fakeStep(() => void ran++)], {
    on: ['falco.>'],
    match: { rule: ['another'] },
  })
  await withEngine(server.url, playbook, async ({ runner, reported }) => {
    const ignored = { kind: 'done', matched: false }
    expect(await runner.handle(playbook, arrivalOf())).toEqual(ignored)
    for (const subject of ['falco.response.x.y.ok', 'falco.dead_letter.x'])
      expect(await runner.handle(playbook, { ...arrivalOf(), subject })).toEqual(ignored)
    for (const text of ['{', '[]', '{"rule":"x"}', ''])
      expect(
        await runner.handle(playbook, { ...arrivalOf(), payload: Buffer.from(text) }),
      ).toMatchObject({
        kind: 'giveUp',
        invalid: true,
        reason: expect.stringMatching(/^this is no alert: /),
      })
    expect({ ran, reported }).toEqual({ ran: 0, reported: [] })
  })
})

it('knows an alert by the id of its message, where that is one', () => {
  const base = arrivalOf()
  const msgIdHeader = '0123456789_abcdefghi-Z'
  expect(idOf({ ...base, msgIdHeader })).toBe(msgIdHeader)
  const hashed = idOf(base)
  expect(hashed).toMatch(/^[A-Za-z0-9_-]{22}$/)
  for (const bad of [
    '',
    '17',
    'x'.repeat(65),
    ...['.', ' ', '>', '\n'].map((end) => msgIdHeader + end),
  ])
    expect(idOf({ ...base, msgIdHeader: bad })).toBe(hashed)
  expect(idOf({ ...base, subject: 'falco.other' })).not.toBe(hashed)
})

it('leaves a target alone that was just acted upon, but for the alert that did', async () => {
  let ran = 0
  const playbook = playbookOf(
    [
      fakeStep(() => void ran++),
      planned(
        fakeStep(() => '', { target: 'pod' }),
        { continueOnError: true },
      ),
    ],
    { coolDownMs: 60_000 },
  )
  const about = (pod: string | null, n: number, delivery = 1) => {
    const output_fields = { n, 'k8s.ns.name': 'shop', 'k8s.pod.name': pod }
    const alert = { priority: 'Notice', rule: 'r', time: '2026-11-21T12:00:00Z', output_fields }
    return { subject: SUBJECT, payload: Buffer.from(JSON.stringify(alert)), delivery }
  }
  await withEngine(server.url, playbook, async ({ runner, reported, metrics }) => {
    expect(await runner.handle(playbook, about('web-1', 1))).toEqual(DONE)
    reported.length = 0
    expect(await runner.handle(playbook, about('web-1', 2))).toEqual(DONE)
    expect(reported.map(({ outcome, text }) => [outcome, text])).toEqual([
      ['skipped', expect.stringMatching(/^left alone, with all steps: .* on pod shop\/web-1$/)],
    ])
    expect(ran).toBe(1)
    expect(await metrics.text()).toContain('delayed_total{reason="cool_down"} 1')
    // Its own redelivery, another pod, and twice none.
    for (const [pod, n] of [
      ['web-1', 1],
      ['web-2', 3],
      [null, 4],
      [null, 5],
    ] as const)
      await runner.handle(playbook, about(pod, n, 2))
    expect(ran).toBe(5)
  })
})

it('lets the next alert act on a target that the last one could do nothing about', async () => {
  const does = [
    { outcome: 'skipped', detail: 'another pod' } as const,
    new StepError('forbidden', { retryable: true }),
    new StepError('impossible', { retryable: false }),
    'done',
    'done again',
  ]
  const ran: unknown[] = []
  const act = fakeStep(() => {
    const what = does[ran.length]!
    ran.push(what)
    if (what instanceof Error) throw what
    return what
  })
  const node = fakeStep(() => '', { target: 'node' })
  const steps = [planned(act), planned(node, { continueOnError: true })]
  const playbook = playbookOf(steps, { coolDownMs: 60_000 })
  const about = (n: number) => {
    const alert = { priority: 'Notice', rule: 'r', hostname: 'node-1', output_fields: { n } }
    return { subject: SUBJECT, payload: Buffer.from(JSON.stringify(alert)), delivery: 1 }
  }
  await withEngine(server.url, playbook, async ({ runner, reported }) => {
    for (const [n] of does.entries()) await runner.handle(playbook, about(n))
    expect(ran).toEqual(does.slice(0, 4))
    expect(reported.at(-1)?.text).toMatch(/^left alone, with all steps: .* on node node-1$/)
  })
})

it('waits for room under the cap and gives back what waits at a stop', async () => {
  let ran = 0
  const playbook = playbookOf([fakeStep(() => void ran++)])
  await withEngine(
    server.url,
    playbook,
    async ({ runner, stop, metrics }) => {
      for (const n of [1, 2]) expect(await runner.handle(playbook, arrivalOf(n))).toEqual(DONE)
      const waiting = runner.handle(playbook, arrivalOf(3))
      await until('one is delayed', async () =>
        (await metrics.text()).includes('delayed_total{reason="rate"} 1'),
      )
      stop.abort()
      expect(await waiting).toMatchObject({ kind: 'retry', afterMs: 1 })
      expect(ran).toBe(2)
    },
    { maxActionsPerMinute: 2 },
  )
})

it('needs no room for an alert that names nothing to act on', async () => {
  const playbook = playbookOf([fakeStep(() => '', { target: 'pod' })])
  const about = (n: number, namespace: string | null) => {
    const output_fields = { n, 'k8s.ns.name': namespace, 'k8s.pod.name': 'web' }
    const alert = { priority: 'Notice', rule: 'r', output_fields }
    return { subject: SUBJECT, payload: Buffer.from(JSON.stringify(alert)), delivery: 1 }
  }
  let taken = 0
  const { takeAction, ...state } = createMemoryState()
  const stateOf = () => ({
    ...state,
    takeAction: (limit: number) => {
      taken++
      return takeAction(limit)
    },
  })
  await using engine = await openEngine(server.url, planOf([playbook]), { stateOf })
  await engine.runner.handle(playbook, about(1, null))
  await engine.runner.handle(playbook, about(2, 'kube-system'))
  expect(taken).toBe(0)
  await engine.runner.handle(playbook, about(3, 'shop'))
  expect(taken).toBe(1)
})
