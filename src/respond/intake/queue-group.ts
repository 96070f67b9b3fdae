// Without JetStream: a queue group of core NATS. What waits is in memory, and ends with the process.

import type { Msg, NatsConnection } from 'nats'
import { messageOf, printable } from '../../shared/errors.ts'
import type { Logger } from '../../shared/log.ts'
import type { RespondMetrics } from '../engine/metrics.ts'
import type { Arrival } from '../engine/runner.ts'
import type { Playbook } from '../playbook/playbook.ts'
import { areDisjoint, cover } from '../playbook/subject-patterns.ts'
import type { Desk } from './settlement.ts'
import type { Intake } from './workers.ts'

export interface QueueParts {
  readonly connection: NatsConnection
  readonly playbook: Playbook
  readonly desk: Desk
  readonly metrics: RespondMetrics
  readonly prefix: string
  readonly log: Logger
  readonly stop: AbortSignal
}

/** Of each playbook; more are lost, which is counted and said. */
const WAITING_MAX = 10_000
const QUIET_MS = 10_000

export function listen(parts: QueueParts): Intake {
  const { connection, playbook, desk, metrics, prefix, log, stop } = parts
  const { name: told, concurrency } = playbook
  const waiting: Arrival[] = []
  const retries = new Map<NodeJS.Timeout, Arrival>()
  const finished = Promise.withResolvers<void>()
  let running = 0
  let drained = false
  let dropped = 0
  let quietUntil = 0

  function receive(error: Error | null, message: Msg): void {
    if (error) {
      log.warn({ playbook: told, reason: messageOf(error) }, 'cannot get alerts')
      return
    }
    const { subject, data: payload, headers } = message
    if (waiting.length + retries.size >= WAITING_MAX) {
      drop()
      return
    }
    const msgIdHeader = headers?.get('Nats-Msg-Id') || undefined
    waiting.push({ subject, payload, msgIdHeader, delivery: 1 })
    work()
  }

  function drop(): void {
    metrics.dropped(told)
    dropped++
    if (performance.now() < quietUntil) return
    quietUntil = performance.now() + QUIET_MS
    log.error({ playbook: told, dropped, waiting: WAITING_MAX }, 'lost alerts: too many wait')
  }

  function work(): void {
    while (running < concurrency && waiting.length > 0) {
      running++
      void treat(waiting.shift()!).finally(() => {
        running--
        work()
      })
    }
    if (drained && running === 0 && waiting.length === 0) finished.resolve()
  }

  async function treat(arrival: Arrival): Promise<void> {
    const fate = await desk.treat(playbook, arrival)
    if (fate.kind !== 'again') return
    const next = { ...arrival, delivery: arrival.delivery + 1 }
    if (stop.aborted) {
      leave(next)
      return
    }
    const timer = setTimeout(() => {
      retries.delete(timer)
      waiting.push(next)
      work()
    }, fate.afterMs)
    retries.set(timer, next)
  }

  /** There is nobody to whom it could be given back. */
  function leave({ subject, delivery }: Arrival): void {
    metrics.dropped(told)
    log.error(
      { playbook: told, subject: printable(subject), delivery },
      'lost an alert: no time to try it again',
    )
  }

  async function end(): Promise<void> {
    await Promise.all(subscriptions.map((subscription) => subscription.drain())).catch(() => {})
    // One more try at once is better than none.
    for (const [timer, arrival] of retries) {
      clearTimeout(timer)
      waiting.push(arrival)
    }
    retries.clear()
    drained = true
    work()
  }

  // A message that two subscriptions are for would come twice.
  const subjects = areDisjoint(playbook.on) ? playbook.on : [cover(playbook.on)]
  const subscriptions = subjects.map((subject) =>
    connection.subscribe(subject, { queue: `${prefix}-${told}`, callback: receive }),
  )
  if (stop.aborted) void end()
  else stop.addEventListener('abort', () => void end())
  return { isReady: () => !connection.isClosed(), finished: finished.promise }
}
