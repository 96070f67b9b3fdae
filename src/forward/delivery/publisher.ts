// From the backlog to NATS. A batch is delivered when the server has confirmed it (courier.ts). Until
// then it is held, and published again, in order, on the next session.
//
//   backlog ──take──▶ on their way: at most WINDOW batches ──confirmed──▶ done
//                              └──── session lost ────▶ published again
//
// Backpressure: when the backlog wants no more, the intake fills, reading stops, the pipe fills,
// Falco waits.

import { messageOf } from '../../shared/errors.ts'
import type { RejectLog } from '../../shared/log.ts'
import type { Wakeup } from '../../shared/notifier.ts'
import type { Stats } from '../accounting/counters.ts'
import { observe } from '../accounting/histogram.ts'
import type { Backlog, Held } from '../buffer/alert-buffer.ts'
import type { Taker } from '../buffer/batcher.ts'
import type { Batch } from '../encoding/batch.ts'
import type { Connector } from './connector.ts'
import type { Courier, Refusal } from './core-nats.ts'
import type { Session } from './session.ts'

/** One on its way and one right behind it. */
const WINDOW = 2
/** A server that has not confirmed for so long is as good as away: what is held goes to disk. */
export const STALLED_MS = 1_000
/**
 * While it confirms, reading waits for it, which costs no memory. When it has not for so long, the
 * backlog is filled: a flood at full speed would otherwise fill it for nothing.
 */
const LAGGING_MS = 100
const LOOK_INTERVAL_MS = 100
/**
 * A PING at most so often while little comes: alerts are written as they come, and gather for one that
 * follows them. Each PING costs a wake-up for its PONG, at a low rate as much as the alert itself.
 */
const GATHER_MS = 10
/** At once, and in one batch: more is no longer little. */
const EARLY_BYTES = 8 * 1024
const GATHER_BYTES = 32 * 1024

export interface Sink extends Taker {
  /** Takes the batch over. */
  put(batch: Batch): void | Promise<void>
  /** Resolves when everything taken is delivered. */
  drain(): Promise<void>
  /** After a bug, at once: keeps what it can, and the batch not put yet, for the next start. */
  salvage(takeRest: () => Batch | undefined): void
  /** How it is, at this moment; a dry run has nothing to tell. */
  readonly vitals?: () => Vitals
  [Symbol.asyncDispose](): Promise<void>
}

export interface Vitals {
  readonly connected: boolean
  /** How long something has been on its way with nothing confirmed, in ms. */
  readonly waitingMs: number
  readonly inFlightAlerts: number
  /** Not in the spool. */
  readonly bufferAlerts: number
  readonly bufferBytes: number
  readonly spoolBytes: number
}

export interface PublisherOptions {
  readonly connector: Connector
  readonly courier: Courier
  readonly backlog: Backlog
  readonly stats: Stats
  /** Notified when it wants what it did not want before, and when something is delivered. */
  readonly changed: Wakeup
  readonly onReject: RejectLog
  /** Called at each look, for the log. */
  readonly onLook?: (vitals: Vitals) => void
}

export function openPublisher(options: PublisherOptions): Sink {
  const { connector, courier, backlog, stats, changed, onReject } = options
  /** When it was last published, perhaps in vain. */
  const sentAt = new WeakMap<Held, number>()
  const stop = new AbortController()
  let session: Session | undefined
  let progressAt = performance.now()
  let gathering = false
  let takenAt = 0

  async function keepConnected(): Promise<void> {
    while (!stop.signal.aborted) {
      const current = await connector.next(stop.signal)
      if (stop.signal.aborted) current.close()
      else courier.opened?.(current)
      session = current
      for (const held of backlog.onTheirWay) send(current, held)
      refill()
      await current.closed
      session = undefined
    }
  }

  function refill(): void {
    while (backlog.onTheirWay.length < WINDOW) {
      if (backlog.onTheirWay.length === 0) progressAt = performance.now()
      const held = backlog.take()
      if (!held) return
      if (session) send(session, held)
    }
  }

  function send(current: Session, held: Held): void {
    if (sentAt.has(held)) stats.resent += held.batch.count
    else if (held.batch.sentOn !== current) stats.resent += held.batch.sentCount
    sentAt.set(held, performance.now())
    courier(current, held.batch).then(
      (refusals) => settle(current, held, refusals),
      // Either the session is over, although `closed` has not been heard yet, or it is of no use.
      (error) => current.close(messageOf(error)),
    )
  }

  function settle(current: Session, held: Held, refusals: readonly Refusal[]): void {
    if (session !== current || backlog.onTheirWay[0] !== held) return
    stats.delivered += held.batch.count - refusals.length
    observeDelivery(stats, held.batch, sentAt.get(held)!)
    for (const { reason, detail } of refusals) {
      stats.rejected[reason]++
      onReject(reason, () => detail)
    }
    backlog.done()
    progressAt = performance.now()
    refill()
    changed.notify()
  }

  /** Writes what little has come at once, but lets it gather for one PING. */
  function early(batch: Batch): boolean {
    const left = takenAt + GATHER_MS - performance.now()
    const wasGathering = gathering
    gathering =
      left > 0 &&
      batch.used < GATHER_BYTES &&
      batch.used - batch.sentBytes < EARLY_BYTES &&
      session !== undefined &&
      isFree() &&
      courier.early!(session, batch)
    if (gathering && !wasGathering) setTimeout(gathered, left)
    return gathering
  }

  function gathered(): void {
    gathering = false
    changed.notify()
  }

  /** Whether what comes now can be on its way at once. */
  const isFree = () => backlog.isEmpty() && backlog.onTheirWay.length < WINDOW

  /** How long something has been on its way with nothing confirmed, in ms. */
  const waitingFor = () => (backlog.onTheirWay.length > 0 ? performance.now() - progressAt : 0)

  /** Whether what comes now would wait longer than reading should. */
  const isBehind = () => waitingFor() > LAGGING_MS || backlog.isDraining()

  const vitals = (): Vitals => ({
    connected: session !== undefined,
    waitingMs: waitingFor(),
    inFlightAlerts: backlog.onTheirWay.reduce((sum, { batch }) => sum + batch.count, 0),
    bufferAlerts: backlog.bufferAlerts(),
    bufferBytes: backlog.bufferBytes(),
    spoolBytes: backlog.spoolBytes(),
  })

  const looking = setInterval(() => {
    const stalled = waitingFor() > STALLED_MS
    backlog.setStalled(stalled)
    if (stalled) backlog.spill()
    // The disk may give again what it has refused.
    refill()
    options.onLook?.(vitals())
    if (isBehind()) changed.notify()
  }, LOOK_INTERVAL_MS)

  // Only an abort ends it early, and then nobody waits for it.
  const connected = keepConnected().catch((error) => {
    if (!stop.signal.aborted) throw error
  })
  refill()

  return {
    wants: (full) => (isFree() && (full || !gathering)) || (isBehind() && backlog.wants(full)),
    ...(courier.early && { early }),
    put(batch) {
      gathering = false
      takenAt = performance.now()
      backlog.push(batch)
      refill()
    },
    async drain() {
      while (backlog.onTheirWay.length > 0) await changed.wait()
    },
    salvage(takeRest) {
      try {
        const rest = takeRest()
        if (rest) backlog.push(rest)
      } finally {
        backlog.close()
      }
    },
    vitals,
    async [Symbol.asyncDispose]() {
      clearInterval(looking)
      stop.abort()
      session?.close()
      await connected
      backlog.close()
    },
  }
}

function observeDelivery(stats: Stats, batch: Batch, sentAt: number): void {
  observe(stats.batchAlerts, batch.count)
  observe(stats.ackSeconds, (performance.now() - sentAt) / 1000)
  const now = Date.now()
  for (let index = 0; index < batch.count; index++) {
    // NaN where the alert has no time. A clock may be ahead of ours.
    const delay = now - batch.times[index]!
    if (!Number.isNaN(delay)) observe(stats.delaySeconds, Math.max(delay, 0) / 1000)
  }
}
