// From the buffer to NATS. A batch is delivered when the server has confirmed it (core-nats.ts). Until
// then it is held, and published again, in order, on the next session.
//
//   buffer ──take──▶ on their way: at most WINDOW batches ──confirmed──▶ done
//                              └──── session lost ────▶ published again
//
// Backpressure: when the buffer wants no more, the batcher fills, reading stops, the pipe fills,
// Falco waits.

import { messageOf } from '../../shared/errors.ts'
import type { Notifier } from '../../shared/notifier.ts'
import { type Counters, observe } from '../accounting/counters.ts'
import type { RejectLog } from '../accounting/rejects.ts'
import type { AlertBuffer, Held } from '../buffer/alert-buffer.ts'
import type { Taker } from '../buffer/batcher.ts'
import type { Batch } from '../encoding/batch.ts'
import type { Connector } from './connector.ts'
import type { Refusal, Transport } from './core-nats.ts'
import type { Session } from './session.ts'

/** One on its way and one right behind it. */
const WINDOW = 2
/** A server that has not confirmed for so long is as good as away: what is held goes to disk. */
export const STALLED_MS = 1_000
/**
 * While it confirms, reading waits for it, which costs no memory. When it has not for so long, the
 * buffer is filled: a flood at full speed would otherwise fill it for nothing.
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
  readonly transport: Transport
  readonly buffer: AlertBuffer
  readonly counters: Counters
  /** Notified when it wants what it did not want before, and when something is delivered. */
  readonly stateChanged: Notifier
  readonly onReject: RejectLog
  /** Called at each look, for the log. */
  readonly onLook?: (vitals: Vitals) => void
}

export function openPublisher(options: PublisherOptions): Sink {
  const { connector, transport, buffer, counters, stateChanged, onReject } = options
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
      else transport.opened?.(current)
      session = current
      for (const held of buffer.inFlight) send(current, held)
      refill()
      await current.closed
      session = undefined
    }
  }

  function refill(): void {
    while (buffer.inFlight.length < WINDOW) {
      if (buffer.inFlight.length === 0) progressAt = performance.now()
      const held = buffer.take()
      if (!held) return
      if (session) send(session, held)
    }
  }

  function send(current: Session, held: Held): void {
    if (sentAt.has(held)) counters.resent += held.batch.count
    else if (held.batch.sentOn !== current) counters.resent += held.batch.sentCount
    sentAt.set(held, performance.now())
    transport(current, held.batch).then(
      (refusals) => settle(current, held, refusals),
      // Either the session is over, although `closed` has not been heard yet, or it is of no use.
      (error) => current.close(messageOf(error)),
    )
  }

  function settle(current: Session, held: Held, refusals: readonly Refusal[]): void {
    if (session !== current || buffer.inFlight[0] !== held) return
    counters.delivered += held.batch.count - refusals.length
    observeDelivery(counters, held.batch, sentAt.get(held)!)
    for (const { reason, detail } of refusals) {
      counters.rejected[reason]++
      onReject(reason, () => detail)
    }
    buffer.done()
    progressAt = performance.now()
    refill()
    stateChanged.notify()
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
      transport.early!(session, batch)
    if (gathering && !wasGathering) setTimeout(gathered, left)
    return gathering
  }

  function gathered(): void {
    gathering = false
    stateChanged.notify()
  }

  /** Whether what comes now can be on its way at once. */
  const isFree = () => buffer.isEmpty() && buffer.inFlight.length < WINDOW

  /** How long something has been on its way with nothing confirmed, in ms. */
  const waitingFor = () => (buffer.inFlight.length > 0 ? performance.now() - progressAt : 0)

  /** Whether what comes now would wait longer than reading should. */
  const isBehind = () => waitingFor() > LAGGING_MS || buffer.isDraining()

  const vitals = (): Vitals => ({
    connected: session !== undefined,
    waitingMs: waitingFor(),
    inFlightAlerts: buffer.inFlight.reduce((sum, { batch }) => sum + batch.count, 0),
    bufferAlerts: buffer.bufferAlerts(),
    bufferBytes: buffer.bufferBytes(),
    spoolBytes: buffer.spoolBytes(),
  })

  const looking = setInterval(() => {
    const stalled = waitingFor() > STALLED_MS
    buffer.setStalled(stalled)
    if (stalled) buffer.spill()
    // The disk may give again what it has refused.
    refill()
    options.onLook?.(vitals())
    if (isBehind()) stateChanged.notify()
  }, LOOK_INTERVAL_MS)

  // Only an abort ends it early, and then nobody waits for it.
  const connected = keepConnected().catch((error) => {
    if (!stop.signal.aborted) throw error
  })
  refill()

  return {
    wants: (full) => (isFree() && (full || !gathering)) || (isBehind() && buffer.wants(full)),
    ...(transport.early && { early }),
    put(batch) {
      gathering = false
      takenAt = performance.now()
      buffer.push(batch)
      refill()
    },
    async drain() {
      while (buffer.inFlight.length > 0) await stateChanged.wait()
    },
    salvage(takeRest) {
      try {
        const rest = takeRest()
        if (rest) buffer.push(rest)
      } finally {
        buffer.close()
      }
    },
    vitals,
    async [Symbol.asyncDispose]() {
      clearInterval(looking)
      stop.abort()
      session?.close()
      await connected
      buffer.close()
    },
  }
}

function observeDelivery(counters: Counters, batch: Batch, sentAt: number): void {
  observe(counters.batchAlerts, batch.count)
  observe(counters.ackSeconds, (performance.now() - sentAt) / 1000)
  const now = Date.now()
  for (let index = 0; index < batch.count; index++) {
    // NaN where the alert has no time. A clock may be ahead of ours.
    const delay = now - batch.times[index]!
    if (!Number.isNaN(delay)) observe(counters.delaySeconds, Math.max(delay, 0) / 1000)
  }
}
