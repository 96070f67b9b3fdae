// What becomes of a message, by how its playbook ended, on a real nats-server.

import { connect, type NatsConnection } from 'nats'
import { pino } from 'pino'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { createRespondMetrics } from '../../../src/respond/engine/metrics.ts'
import type { RunResult } from '../../../src/respond/engine/run.ts'
import {
  createSettlement,
  retryDelay,
  sendDeadLetter,
} from '../../../src/respond/intake/settlement.ts'
import { withJetStream } from '../../support/consuming.ts'
import { arrivalOf, playbookOf, SUBJECT } from '../../support/engine.ts'
import { type NatsServer, readStream, startNats, subscribe } from '../../support/nats.ts'

let server: NatsServer
let connection: NatsConnection
beforeAll(async () => {
  server = await startNats()
  connection = await connect({ servers: server.url })
})
afterAll(async () => {
  await connection.close()
  await server[Symbol.asyncDispose]()
})

/** Of a playbook that has 5 tries, and ends as `results` have it. */
function settlement(results: RunResult[], on = connection) {
  const metrics = createRespondMetrics()
  const abandon = new AbortController()
  const lines: Record<string, unknown>[] = []
  const log = pino({ level: 'debug' }, { write: (line) => void lines.push(JSON.parse(line)) })
  let runs = 0
  const runner = {
    async handle() {
      expect(await metrics.text()).toContain('in_progress{playbook="test"} 1')
      return results[runs++]!
    },
  }
  const settle = createSettlement({
    connection: on,
    runner,
    metrics,
    log,
    abandon: abandon.signal,
  })
  const playbook = playbookOf([])
  return {
    settle: (delivery: number) => settle(playbook, arrivalOf(7, delivery)),
    metrics,
    lines,
    abandon,
    runs: () => runs,
  }
}

const DONE = { kind: 'done', matched: true } as const
const AWAY = { kind: 'retry', reason: 'away' } as const
const NAK = { kind: 'nak', afterMs: expect.any(Number) }

it.each<[string, RunResult, number, object, string]>([
  ['done', DONE, 1, { kind: 'ack' }, 'done'],
  ['not meant', { kind: 'done', matched: false }, 1, { kind: 'ack' }, 'not_matched'],
  ['to be tried again', AWAY, 4, NAK, 'retried'],
  ['tried for the last time', AWAY, 5, { kind: 'term' }, 'dead_letter'],
  ['only made to wait', { ...AWAY, afterMs: 3 }, 5, { kind: 'nak', afterMs: 3 }, 'retried'],
  ['given up', { kind: 'giveUp', reason: 'no' }, 1, { kind: 'term' }, 'dead_letter'],
  ['no alert', { kind: 'giveUp', reason: 'no', invalid: true }, 1, { kind: 'term' }, 'invalid'],
])('disposes of what is %s', async (_what, result, delivery, disposition, counted) => {
  const { settle, metrics } = settlement([result])
  expect(await settle(delivery)).toEqual(disposition)
  const sums = { done: 0, not_matched: 0, retried: 0, dead_letter: 0, invalid: 0 }
  expect(metrics.sums()).toEqual({ ...sums, [counted]: 1 })
  expect(await metrics.text()).toContain('in_progress{playbook="test"} 0')
})

it('keeps why it gave up, and how often it had tried', async () => {
  await using subscriber = await subscribe(server.url)
  const { settle, lines } = settlement([AWAY])
  await settle(5)
  await subscriber.count(1)
  expect(subscriber.messages[0]?.subject).toBe('falco.dead_letter.test')
  const reason = 'away (tried 5 times)'
  expect(subscriber.messages[0]?.headers?.get('Falco-Respond-Reason')).toBe(reason)
  expect(lines).toMatchObject([
    { level: 50, playbook: 'test', delivery: 5, reason, msg: expect.stringMatching(/^gave up/) },
  ])
})

it('runs no alert that came too often without an end', async () => {
  const { settle, runs, lines } = settlement([])
  expect(await settle(6)).toEqual({ kind: 'term' })
  expect(runs()).toBe(0)
  expect(lines[0]?.reason).toMatch(/^delivered 6 times and never finished/)
})

it('gives back at once what is broken off by our end, for the last time or not', async () => {
  const { settle, abandon } = settlement([AWAY])
  abandon.abort()
  expect(await settle(5)).toEqual({ kind: 'nak', afterMs: 1 })
})

it('tries again where the dead letter cannot be sent', async () => {
  const closed = await connect({ servers: server.url })
  await closed.close()
  const { settle, lines, metrics } = settlement([AWAY], closed)
  expect(await settle(5)).toEqual(NAK)
  expect(lines).toMatchObject([{ level: 40, msg: 'cannot send a dead letter' }])
  expect(metrics.sums().dead_letter).toBe(0)
})

it('tries for more than a minute before it gives up, as the default has it', () => {
  const pauses = [1, 2, 3, 4].map(retryDelay)
  expect(pauses.reduce((sum, ms) => sum + ms)).toBeGreaterThan(60_000)
  expect(Math.max(...pauses, retryDelay(1000))).toBeLessThanOrEqual(60_000)
})

it('stores the alert as it came, and why', () =>
  withJetStream(async ({ url }) => {
    await using connection = await connect({ servers: url })
    await sendDeadLetter(connection, 'test', arrivalOf(1, 3), 'was\r\nim\u00fcr')
    const [dead] = await readStream(url)
    expect(dead?.subject).toBe('falco.dead_letter.test')
    expect(dead?.data).toEqual(arrivalOf(1).payload)
    expect(dead?.headers?.get('Falco-Respond-Reason')).not.toMatch(/[^ -~]/)
    expect(dead?.headers?.get('Falco-Respond-Subject')).toBe(SUBJECT)
    expect(dead?.headers?.get('Falco-Respond-Deliveries')).toBe('3')
    expect(dead?.headers?.has('Falco-Respond-Cut-From')).toBe(false)
  }))

it('publishes where no stream takes it, cut to what the server takes', async () => {
  await using server = await startNats('max_payload: 8192')
  await using connection = await connect({ servers: server.url })
  await using subscriber = await subscribe(server.url)
  const payload = Buffer.alloc(8192, 'x')
  await sendDeadLetter(connection, 'test', { ...arrivalOf(), payload }, 'too large'.repeat(100))
  await subscriber.count(1)
  const [dead] = subscriber.messages
  expect(dead?.data).toEqual(payload.subarray(0, 8192 - 2048))
  expect(dead?.headers?.get('Falco-Respond-Cut-From')).toBe('8192')
})

it('rejects where it could not be sent', async () => {
  await using server = await startNats()
  const connection = await connect({ servers: server.url })
  await connection.close()
  await expect(sendDeadLetter(connection, 'test', arrivalOf(), 'no')).rejects.toThrow()
})
