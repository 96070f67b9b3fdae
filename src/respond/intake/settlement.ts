// What becomes of a message after its playbook has run: acknowledged, tried again, or a dead letter.
// The same with JetStream and without.

import { headers, type MsgHdrs } from 'nats'
import { messageOf, printable } from '../../shared/errors.ts'
import type { Logger } from '../../shared/log.ts'
import { headerValue } from '../../shared/nats/header-value.ts'
import type { RespondMetrics } from '../engine/metrics.ts'
import type { Arrival, Runner, Verdict } from '../engine/runner.ts'
import type { Playbook } from '../playbook/playbook.ts'
import { DEAD_LETTER_PREFIX } from '../playbook/subject-patterns.ts'

export type Fate =
  | { readonly kind: 'over' }
  | { readonly kind: 'again'; readonly afterMs: number }
  /** It is in the dead letters. */
  | { readonly kind: 'dead' }

export interface Desk {
  /** Never rejects. */
  treat(playbook: Playbook, arrival: Arrival): Promise<Fate>
}

export interface DeskParts {
  readonly runner: Runner
  /** Resolves when it is as safe as it gets. */
  readonly send: (subject: string, payload: Uint8Array, headers: MsgHdrs) => Promise<void>
  readonly metrics: RespondMetrics
  readonly log: Logger
  readonly abandon: AbortSignal
}

const RETRY_FIRST_MS = 1_000
const RETRY_MOST_MS = 60_000

export function createDesk({ runner, send, metrics, log, abandon }: DeskParts): Desk {
  async function bury(playbook: Playbook, arrival: Arrival, reason: string): Promise<Fate> {
    const { subject, payload, delivery } = arrival
    const told = { playbook: playbook.name, subject: printable(subject), delivery, reason }
    try {
      const about = headers()
      about.set('Falco-Respond-Reason', headerValue(reason))
      about.set('Falco-Respond-Subject', headerValue(subject))
      about.set('Falco-Respond-Deliveries', String(delivery))
      await send(`${DEAD_LETTER_PREFIX}${playbook.name}`, payload, about)
    } catch (error) {
      const afterMs = retryDelay(delivery)
      log.warn({ ...told, trouble: messageOf(error), afterMs }, 'cannot send a dead letter')
      return { kind: 'again', afterMs }
    }
    log.error(told, 'gave up an alert: it is in the dead letters')
    return { kind: 'dead' }
  }

  async function settle(playbook: Playbook, arrival: Arrival, verdict: Verdict): Promise<Fate> {
    const { name, maxDeliver } = playbook
    switch (verdict.kind) {
      case 'done':
        metrics.alert(name, verdict.matched ? 'done' : 'not_matched')
        return { kind: 'over' }
      case 'giveUp': {
        const fate = await bury(playbook, arrival, verdict.reason)
        if (fate.kind === 'dead') metrics.alert(name, verdict.invalid ? 'invalid' : 'dead_letter')
        return fate
      }
      case 'retry': {
        const { delivery, subject } = arrival
        // What is broken off by our end has not failed.
        if (delivery >= maxDeliver && verdict.afterMs === undefined && !abandon.aborted) {
          const times = delivery === 1 ? 'once' : `${delivery} times`
          const reason = `${verdict.reason} (tried ${times})`
          return await settle(playbook, arrival, { kind: 'giveUp', reason })
        }
        const afterMs = verdict.afterMs ?? (abandon.aborted ? 1 : retryDelay(delivery))
        metrics.alert(name, 'retried')
        const told = { playbook: name, subject: printable(subject), delivery, afterMs }
        log.info({ ...told, reason: verdict.reason }, 'an alert will be tried again')
        return { kind: 'again', afterMs }
      }
    }
  }

  return {
    async treat(playbook, arrival) {
      const { delivery } = arrival
      metrics.begin(playbook.name)
      try {
        // Each time it came, whoever had it ended without a word: it may be the alert that ends us.
        if (delivery > playbook.maxDeliver) {
          const reason = `delivered ${delivery} times and never finished: does it end the process?`
          return await settle(playbook, arrival, { kind: 'giveUp', reason })
        }
        return await settle(playbook, arrival, await runner.handle(playbook, arrival))
      } finally {
        metrics.end(playbook.name)
      }
    },
  }
}

/**
 * From 1 s to 60 s, four times as long each time, of which a quarter is left to chance. So the tries of
 * the default take more than a minute: an API server has started anew by then.
 */
export function retryDelay(delivery: number): number {
  const most = Math.min(RETRY_MOST_MS, RETRY_FIRST_MS * 4 ** Math.min(delivery - 1, 10))
  return Math.round(most * (0.75 + Math.random() / 4))
}
