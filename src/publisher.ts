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
import { messageOf } from './errors.ts'
import type { RejectLog } from './log.ts'
import type { Session } from './session.ts'
import type { Stats } from './stats.ts'
import { createWakeup } from './wakeup.ts'

/** One on its way and one right behind it. */
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
  /** The batches that have been published before, perhaps in vain. */
  const sent = new Set<Batch>()
  const confirmedOne = createWakeup()
  const stop = new AbortController()
  let session: Session | undefined

  async function keepConnected(): Promise<void> {
    while (!stop.signal.aborted) {
      const current = await connector.next(stop.signal)
      if (stop.signal.aborted) current.close()
      for (const batch of unconfirmed) send(current, batch)
      session = current
      await current.closed
      session = undefined
    }
  }

  function send(current: Session, batch: Batch): void {
    if (sent.has(batch)) stats.resent += batch.count
    sent.add(batch)
    // The server may change its mind about this before it confirms; what counts is what was sent.
    const { maxPayload } = current
    try {
      for (let index = 0; index < batch.count; index++) {
        const payload = payloadAt(batch, index)
        if (payload.length <= maxPayload) current.publish(batch.subjects[index]!, payload)
      }
      void current.confirm().then(() => settle(current, batch, maxPayload), ignore)
    } catch (error) {
      // The session is over although `closed` has not been heard yet, or else it is of no use.
      current.close(messageOf(error))
    }
  }

  async function settle(current: Session, batch: Batch, maxPayload: number): Promise<void> {
    // What the server refused it said before the PONG, but the client reports it by another way,
    // a few microtasks longer; all of them have run by then.
    await afterPoll()
    if (session !== current || unconfirmed[0] !== batch) return
    unconfirmed.shift()
    sent.delete(batch)
    stats.delivered += batch.count - countRefused(current, batch, maxPayload)
    stats.batches++
    pool.giveBack(batch)
    confirmedOne.notify()
  }

  /** Counts and reports the alerts of a batch that the server did not take. */
  function countRefused({ denied }: Session, batch: Batch, maxPayload: number): number {
    if (batch.longest <= maxPayload && denied.size === 0) return 0
    let refused = 0
    for (let index = 0; index < batch.count; index++) {
      const subject = batch.subjects[index]!
      const bytes = payloadAt(batch, index).length
      const denials = denied.get(subject) ?? 0
      if (bytes > maxPayload) {
        stats.rejected.exceeds_max_payload++
        onReject('exceeds_max_payload', () => ({ subject, bytes, maxPayload }))
      } else if (denials > 0) {
        if (denials === 1) denied.delete(subject)
        else denied.set(subject, denials - 1)
        stats.rejected.permission_denied++
        onReject('permission_denied', () => ({ subject }))
      } else {
        continue
      }
      refused++
    }
    return refused
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
