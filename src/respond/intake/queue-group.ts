// Without JetStream: a queue group of core NATS. What waits is in memory, and ends with the process.

import type { Msg } from 'nats'
import { messageOf, printable } from '../../shared/errors.ts'
import { aborted } from '../../shared/process/shutdown.ts'
import type { Arrival } from '../engine/run.ts'
import { areDisjoint, cover } from '../playbook/subject-patterns.ts'
import { type AlertSource, arrivalOf, type SourceParts } from './settlement.ts'

/** Of each playbook, those that are to be tried again included; more are lost, counted and logged. */
const WAITING_MAX = 10_000
const QUIET_MS = 10_000

export function listen(parts: SourceParts): AlertSource {
  const { connection, playbook, name, settle, metrics, log, stop } = parts
  const label = { playbook: playbook.name }
  /** Up to `concurrency` of these run, and the others wait. */
  const unsettled = new Set<Promise<void>>()
  /** Each lets one go on that waits only for its turn. */
  const turns: (() => void)[] = []
  /** Each ends the pause before another try. (One listener of `stop` each is slow.) */
  const pauses = new Set<() => void>()
  let running = 0
  let dropped = 0
  let quietUntil = 0

  function receive(error: Error | null, message: Msg): void {
    if (error) log.warn({ ...label, reason: messageOf(error) }, 'cannot get alerts')
    else if (unsettled.size - running >= WAITING_MAX) drop()
    else {
      const forget = () => unsettled.delete(handled)
      const handled: Promise<void> = handle(arrivalOf(message, 1)).finally(forget)
      unsettled.add(handled)
    }
  }

  function drop(): void {
    metrics.dropped.inc(label)
    dropped++
    if (performance.now() < quietUntil) return
    quietUntil = performance.now() + QUIET_MS
    log.error({ ...label, dropped, waiting: WAITING_MAX }, 'lost alerts: too many wait')
  }

  async function handle(first: Arrival): Promise<void> {
    for (let arrival = first; ; arrival = { ...arrival, delivery: arrival.delivery + 1 }) {
      const disposition = await inTurn(arrival)
      if (disposition.kind !== 'nak') return
      // It cannot be given back.
      if (stop.aborted) {
        metrics.dropped.inc(label)
        const fields = { subject: printable(arrival.subject), delivery: arrival.delivery + 1 }
        log.error({ ...label, ...fields }, 'lost an alert: no time to try it again')
        return
      }
      const { promise, resolve } = Promise.withResolvers<void>()
      const timer = setTimeout(resolve, disposition.afterMs)
      pauses.add(resolve)
      await promise
      pauses.delete(resolve)
      clearTimeout(timer)
    }
  }

  async function inTurn(arrival: Arrival): ReturnType<typeof settle> {
    if (running === playbook.concurrency) await new Promise<void>((turn) => turns.push(turn))
    else running++
    const disposition = await settle(playbook, arrival)
    // What goes on has the place of this one.
    const next = turns.shift()
    if (next) next()
    else running--
    return disposition
  }

  // A message that two subscriptions are for would come twice.
  const subjects = areDisjoint(playbook.on) ? playbook.on : [cover(playbook.on)]
  const options = { queue: name, callback: receive }
  const subscriptions = subjects.map((subject) => connection.subscribe(subject, options))
  const finish = async () => {
    await aborted(stop)
    await Promise.all(subscriptions.map((subscription) => subscription.drain())).catch(() => {})
    // One more try at once is better than none.
    for (const end of pauses) end()
    await Promise.all(unsettled)
  }
  return { isReady: () => !connection.isClosed(), finished: finish() }
}
