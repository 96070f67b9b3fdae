// What becomes of a message after its playbook has run: acknowledged, tried again, or a dead letter.
// The same for all sources of alerts: workers.ts with JetStream, queue-group.ts without.

import { jetstream } from '@nats-io/jetstream'
import { headers, type Msg, type NatsConnection } from 'nats'
import { backoff } from '../../shared/backoff.ts'
import { messageOf, printable } from '../../shared/errors.ts'
import { headerValue } from '../../shared/nats/header-value.ts'
import type { Arrival, RunnerParts, RunResult } from '../engine/run.ts'
import type { Runner } from '../engine/runner.ts'
import type { Playbook } from '../playbook/playbook.ts'
import { DEAD_LETTER_PREFIX } from '../playbook/subject-patterns.ts'
import { streamFor } from './stream.ts'

/** In the words of JetStream: it is over, it is to come again, or it is in the dead letters. */
export type Disposition =
  | { readonly kind: 'ack' | 'term' }
  | { readonly kind: 'nak'; readonly afterMs: number }

/** Never rejects. */
export type Settle = (playbook: Playbook, arrival: Arrival) => Promise<Disposition>

/** The source of one playbook's alerts. */
export interface AlertSource {
  /** Whether alerts can come. */
  isReady(): boolean
  /** Resolves after a stop, when all that was begun is over. */
  readonly finished: Promise<void>
}

export interface SourceParts extends Pick<RunnerParts, 'metrics' | 'log' | 'stop'> {
  readonly connection: NatsConnection
  readonly playbook: Playbook
  readonly settle: Settle
  /** Of the durable consumer, or of the queue group: replicas share it. */
  readonly name: string
}

/** Three values of at most 256 characters, and their names. */
const HEADERS_BYTES_MAX = 2048

export const arrivalOf = ({ subject, data, headers }: Msg, delivery: number): Arrival => ({
  subject,
  payload: data,
  msgIdHeader: headers?.get('Nats-Msg-Id') || undefined,
  delivery,
})

interface SettlementParts extends Pick<RunnerParts, 'metrics' | 'log' | 'abandon'> {
  readonly connection: NatsConnection
  readonly runner: Runner
}

export function createSettlement(parts: SettlementParts): Settle {
  const { connection, runner, metrics, log, abandon } = parts

  async function run(playbook: Playbook, arrival: Arrival): Promise<RunResult> {
    const { delivery } = arrival
    // Every earlier delivery ended without an acknowledgement: the alert may be crashing the process.
    const reason = `delivered ${delivery} times and never finished: does it end the process?`
    if (delivery > playbook.maxDeliver) return { kind: 'giveUp', reason }
    const result = await runner.handle(playbook, arrival)
    // An alert that only waited, or whose steps were given up at our end, has not failed.
    const hasFailed = result.kind === 'retry' && result.afterMs === undefined && !abandon.aborted
    if (!hasFailed || delivery < playbook.maxDeliver) return result
    const times = delivery === 1 ? 'once' : `${delivery} times`
    return { kind: 'giveUp', reason: `${result.reason} (tried ${times})` }
  }

  async function dispose(playbook: Playbook, arrival: Arrival): Promise<Disposition> {
    const { name } = playbook
    const { subject, delivery } = arrival
    const logFields = { playbook: name, subject: printable(subject), delivery }
    const result = await run(playbook, arrival)
    if (result.kind === 'done') {
      metrics.alert(name, result.matched ? 'done' : 'not_matched')
      return { kind: 'ack' }
    }
    const { reason } = result
    if (result.kind === 'retry') {
      const afterMs = result.afterMs ?? (abandon.aborted ? 1 : retryDelay(delivery))
      metrics.alert(name, 'retried')
      log.info({ ...logFields, afterMs, reason }, 'an alert will be tried again')
      return { kind: 'nak', afterMs }
    }
    try {
      await sendDeadLetter(connection, name, arrival, reason)
    } catch (error) {
      const afterMs = retryDelay(delivery)
      const trouble = messageOf(error)
      log.warn({ ...logFields, reason, trouble, afterMs }, 'cannot send a dead letter')
      return { kind: 'nak', afterMs }
    }
    log.error({ ...logFields, reason }, 'gave up an alert: it is in the dead letters')
    metrics.alert(name, result.invalid ? 'invalid' : 'dead_letter')
    return { kind: 'term' }
  }

  return async (playbook, arrival) => {
    const label = { playbook: playbook.name }
    metrics.inProgress.inc(label)
    try {
      return await dispose(playbook, arrival)
    } finally {
      metrics.inProgress.dec(label)
    }
  }
}

/** The tries of the default take more than a minute: an API server has started anew by then. */
export const retryDelay = (delivery: number): number =>
  Math.round(backoff(delivery, 1_000, { factor: 4, maxMs: 60_000, jitter: 0.25 }))

/** Stored when it resolves, where a stream takes it. Cuts an alert that has no room beside the reason. */
export async function sendDeadLetter(
  connection: NatsConnection,
  playbook: string,
  { subject, payload, delivery }: Arrival,
  reason: string,
): Promise<void> {
  const about = headers()
  about.set('Falco-Respond-Reason', headerValue(reason))
  about.set('Falco-Respond-Subject', headerValue(subject))
  about.set('Falco-Respond-Deliveries', String(delivery))
  const room = (connection.info?.max_payload ?? Number.POSITIVE_INFINITY) - HEADERS_BYTES_MAX
  const cut = payload.subarray(0, Math.max(0, room))
  if (cut.length < payload.length) about.set('Falco-Respond-Cut-From', String(payload.length))
  const to = `${DEAD_LETTER_PREFIX}${playbook}`
  const stream = await streamFor(connection, [to]).catch(() => undefined)
  if (stream !== undefined) {
    await jetstream(connection).publish(to, cut, { headers: about })
    return
  }
  connection.publish(to, cut, { headers: about })
  await connection.flush()
}
