// From batches to NATS. A batch is delivered when the server has confirmed it (courier.ts). Until
// then its bytes are kept, and published again, in order, on the next session.
//
//   borrowed ──publish──▶ unconfirmed[0..WINDOW) ──────▶ delivered, given back
//                              └──── session lost ────▶ published again
//
// At most WINDOW batches are unconfirmed; `publish` returns when there is room for one more, which
// is all the backpressure there is: who waits for it does not pull the next batch, the intake
// fills, reading stops, the pipe fills, Falco waits.

import type { Batch, BatchPool } from './batch.ts'
import type { Connector } from './connection.ts'
import type { Courier, Refusal } from './courier.ts'
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
  readonly courier: Courier
  readonly stats: Stats
  readonly onReject: RejectLog
}

export function openPublisher({
  connector,
  courier,
  pool,
  stats,
  onReject,
}: PublisherOptions): Sink {
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
    courier(current, batch).then(
      (refusals) => settle(current, batch, refusals),
      // Either the session is over, although `closed` has not been heard yet, or it is of no use.
      (error) => current.close(messageOf(error)),
    )
  }

  function settle(current: Session, batch: Batch, refusals: readonly Refusal[]): void {
    if (session !== current || unconfirmed[0] !== batch) return
    unconfirmed.shift()
    sent.delete(batch)
    stats.delivered += batch.count - refusals.length
    for (const { reason, detail } of refusals) {
      stats.rejected[reason]++
      onReject(reason, () => detail)
    }
    stats.batches++
    pool.giveBack(batch)
    confirmedOne.notify()
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
