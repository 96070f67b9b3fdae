// What becomes of a message after its playbook has run: acknowledged, tried again, or a dead letter.
// The same with JetStream and without.

import type { NatsConnection } from 'nats'
import { backoff } from '../../shared/backoff.ts'
import { messageOf, printable } from '../../shared/errors.ts'
import type { Arrival, RunnerParts, RunResult } from '../engine/run.ts'
import type { Runner } from '../engine/runner.ts'
import type { Playbook } from '../playbook/playbook.ts'
import { sendDeadLetter } from './dead-letter.ts'

/** In the words of JetStream: it is over, it is to come again, or it is in the dead letters. */
export type Disposition =
  | { readonly kind: 'ack' | 'term' }
  | { readonly kind: 'nak'; readonly afterMs: number }

/** Never rejects. */
export type Settle = (playbook: Playbook, arrival: Arrival) => Promise<Disposition>

export interface SettlementParts extends Pick<RunnerParts, 'metrics' | 'log' | 'abandon'> {
  readonly connection: NatsConnection
  readonly runner: Runner
}

export function createSettlement(parts: SettlementParts): Settle {
  const { connection, runner, metrics, log, abandon } = parts

  async function dispose(
    { name, maxDeliver }: Playbook,
    arrival: Arrival,
    ran: RunResult,
  ): Promise<Disposition> {
    const { subject, delivery } = arrival
    const logFields = { playbook: name, subject: printable(subject), delivery }
    const result = abandon.aborted ? ran : afterTries(ran, delivery, maxDeliver)
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
      const result = neverFinished(playbook, arrival) ?? (await runner.handle(playbook, arrival))
      return await dispose(playbook, arrival, result)
    } finally {
      metrics.inProgress.dec(label)
    }
  }
}

/** Every earlier delivery ended without an acknowledgement: the alert may be crashing the process. */
function neverFinished({ maxDeliver }: Playbook, { delivery }: Arrival): RunResult | undefined {
  const reason = `delivered ${delivery} times and never finished: does it end the process?`
  return delivery > maxDeliver ? { kind: 'giveUp', reason } : undefined
}

/** What fails for the last time is given up. What only waited has not failed. */
function afterTries(result: RunResult, delivery: number, maxDeliver: number): RunResult {
  if (result.kind !== 'retry' || result.afterMs !== undefined || delivery < maxDeliver)
    return result
  const times = delivery === 1 ? 'once' : `${delivery} times`
  return { kind: 'giveUp', reason: `${result.reason} (tried ${times})` }
}

/** The tries of the default take more than a minute: an API server has started anew by then. */
export const retryDelay = (delivery: number): number =>
  Math.round(backoff(delivery, 1_000, { factor: 4, maxMs: 60_000, jitter: 0.25 }))
