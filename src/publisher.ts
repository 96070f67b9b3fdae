// From batches to NATS. A batch is delivered when the server has confirmed it: a PONG that follows
// it. Until then its bytes are kept, and published again, in order, on the next session.
//
//   borrowed ──publish──▶ unconfirmed[0..WINDOW) ──PONG──▶ delivered, given back
//                              └──── session lost ────▶ published again
//
// At most WINDOW batches are unconfirmed; `publish` returns when there is room for one more, which
// is all the backpressure there is: who waits for it does not pull the next batch, the intake
// fills, reading stops, the pipe fills, Falco waits.

import { setImmediate as afterPoll } from 'node:timers/promises'
import { type Batch, type BatchPool, payloadAt } from './batch.ts'
import type { Connector } from './connection.ts'
import type { RejectLog } from './log.ts'
import type { Session } from './session.ts'
import type { DeliveryReject, Stats } from './stats.ts'
import { createWakeup } from './wakeup.ts'

/** One on its way and one right behind it; more gains nothing (bench/), and costs memory. */
const WINDOW = 2

export interface Sink {
  /** Takes the batch over; resolves when the next may come. */
  publish(batch: Batch): Promise<void>
  /** Resolves when everything taken is delivered. */
  drain(): Promise<void>
  [Symbol.asyncDispose](): Promise<void>
}

export interface PublisherOptions {
  readonly connector: Connector
  readonly pool: BatchPool
  readonly stats: Stats
  readonly onReject: RejectLog
}

export function openPublisher({ connector, pool, stats, onReject }: PublisherOptions): Sink {
  const unconfirmed: Batch[] = []
  const sent = new Set<Batch>()
  const confirmedOne = createWakeup()
  const stop = new AbortController()
  let session: Session | undefined

  async function keepConnected(): Promise<void> {
    while (!stop.signal.aborted) {
      const current = await connector.next(stop.signal)
      for (const batch of unconfirmed) send(current, batch)
      session = current
      await current.closed
      session = undefined
    }
  }

  function send(current: Session, batch: Batch): void {
    if (sent.has(batch)) stats.resent += batch.count
    sent.add(batch)
    try {
      for (let index = 0; index < batch.count; index++) {
        const payload = payloadAt(batch, index)
        if (payload.length <= current.maxPayload) current.publish(batch.subjects[index]!, payload)
      }
      void current.confirm().then(() => settle(current, batch), ignore)
    } catch {
      // The session is over although `closed` has not been heard yet: the next one sends it again.
    }
  }

  async function settle(current: Session, batch: Batch): Promise<void> {
    // What the server refused it said before the PONG, but the client reports it by another way,
    // a few microtasks longer; all of them have run by then.
    await afterPoll()
    if (unconfirmed[0] !== batch) return
    unconfirmed.shift()
    sent.delete(batch)
    account(current, batch)
    pool.giveBack(batch)
    confirmedOne.notify()
  }

  function account(current: Session, batch: Batch): void {
    const before = stats.rejected.exceeds_max_payload + stats.rejected.permission_denied
    if (batch.longest > current.maxPayload || current.denied.size > 0)
      for (let index = 0; index < batch.count; index++) countIfRefused(current, batch, index)
    const refused = stats.rejected.exceeds_max_payload + stats.rejected.permission_denied - before
    stats.delivered += batch.count - refused
    stats.batches++
  }

  function countIfRefused(current: Session, batch: Batch, index: number): void {
    const subject = batch.subjects[index]!
    const bytes = payloadAt(batch, index).length
    const denials = current.denied.get(subject) ?? 0
    if (bytes > current.maxPayload) {
      reject('exceeds_max_payload', () => ({ subject, bytes, maxPayload: current.maxPayload }))
    } else if (denials > 0) {
      if (denials === 1) current.denied.delete(subject)
      else current.denied.set(subject, denials - 1)
      reject('permission_denied', () => ({ subject }))
    }
  }

  function reject(reason: DeliveryReject, detail: () => Record<string, unknown>): void {
    stats.rejected[reason]++
    onReject(reason, detail)
  }

  // Only an abort ends it early, and then nobody waits for it.
  const connected = keepConnected().catch((error) => {
    if (!stop.signal.aborted) throw error
  })

  return {
    async publish(batch) {
      unconfirmed.push(batch)
      if (session) send(session, batch)
      while (unconfirmed.length >= WINDOW) await confirmedOne.wait()
    },
    async drain() {
      while (unconfirmed.length > 0) await confirmedOne.wait()
    },
    async [Symbol.asyncDispose]() {
      stop.abort()
      session?.close()
      await connected
    },
  }
}

function ignore(): void {}
