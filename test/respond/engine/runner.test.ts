// One alert through one playbook, with small steps and a real state.

import { afterAll, beforeAll, expect, it } from 'vitest'
import { idOf } from '../../../src/respond/engine/runner.ts'
import { arrivalOf, fakeStep, playbookOf, SUBJECT, withEngine } from '../../support/engine.ts'
import { type NatsServer, startNats, subscribe } from '../../support/nats.ts'

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
