// From the buffer to NATS. A batch stays in flight until the server confirms it. When the session is lost
// first, it is published again, in order, on the next.
//
// Backpressure: when the buffer is full, the batcher fills, reading stops, the pipe fills, Falco waits.

import type { Clock } from '../../shared/clock.ts'
import { messageOf } from '../../shared/errors.ts'
import type { Notifier } from '../../shared/notifier.ts'
import { type Counters, observe, pausedFor } from '../accounting/counters.ts'
import type { RejectLog } from '../accounting/rejects.ts'
import type { AlertBuffer } from '../buffer/alert-buffer.ts'
import { PATIENCE_MS } from '../buffer/batcher.ts'
import { type InFlight, moveTo } from '../buffer/in-flight.ts'
import { createCoalescing } from './coalescing.ts'
import type { Connector } from './connector.ts'
import type { Session } from './session.ts'
import { DROPPING_MS, LAGGING_MS, type Sink, STALLED_MS, type Vitals } from './sink.ts'
import type { Refusal, Transport } from './transport.ts'

/** One batch that is being confirmed, and one right behind it. */
const WINDOW = 2
const LOOK_INTERVAL_MS = 100

export function openPublisher(options: {
  connector: Connector
  transport: Transport
  buffer: AlertBuffer
  counters: Counters
  /** Notified when the sink takes what it did not take before, and when a batch is delivered. */
  stateChanged: Notifier
  rejectLog: RejectLog
  clock: Clock
  /** Called at each look, for the log. */
  onLook?: (vitals: Vitals, now: number, roomBytes: number | undefined) => void
}): Sink {
  const { connector, transport, buffer, counters, stateChanged, rejectLog, clock } = options
  const { inFlight } = buffer
  const coalescing = createCoalescing(transport.writePartial, options)
  const stop = new AbortController()
  let session: Session | undefined
  let progressAt = clock.now()

  async function keepConnected(): Promise<void> {
    while (!stop.signal.aborted) {
      const current = await connector.next(stop.signal)
      if (stop.signal.aborted) current.close()
      else transport.opened?.(current)
      session = current
      for (const flight of inFlight) publish(current, flight)
      refill()
      await current.closed
      session = undefined
    }
  }

  function refill(): void {
    while (inFlight.length < WINDOW && buffer.take()) startNewest()
  }

  function startNewest(): void {
    if (inFlight.length === 1) progressAt = clock.now()
    if (session) publish(session, inFlight.at(-1)!)
  }

  function publish(current: Session, flight: InFlight): void {
    moveTo(current, flight, counters)
    const { batch, written } = flight
    flight.written = batch.count
    flight.publishedAt = clock.now()
    transport.publish(current, batch, written).then(
      (refusals) => settle(current, flight, refusals),
      // The session is over, although `closed` may not have resolved, or useless.
      (error) => current.close(messageOf(error)),
    )
  }

  function settle(current: Session, flight: InFlight, refusals: readonly Refusal[]): void {
    if (session !== current || inFlight[0] !== flight) return
    counters.delivered += flight.batch.count - refusals.length
    observeDelivery(counters, flight, clock)
    for (const { reason, detail } of refusals) {
      counters.rejected[reason]++
      rejectLog(reason, () => detail)
    }
    buffer.done()
    progressAt = clock.now()
    refill()
    stateChanged.notify()
  }

  const waitingMs = () => (inFlight.length > 0 ? clock.now() - progressAt : 0)
  const isLagging = () => waitingMs() > LAGGING_MS || buffer.isDraining()
  const isImpatient = () => pausedFor(counters, clock.now()) >= PATIENCE_MS
  /** While the server confirms, only slowly, Falco waits for moments. */
  const mayDrop = () => waitingMs() > DROPPING_MS || buffer.isDraining()
  const isStalled = () => waitingMs() > STALLED_MS
  /** Whether new alerts can be in flight at once. */
  const isFree = () => buffer.isEmpty() && inFlight.length < WINDOW
  const vitals = () => ({ connected: !!session, waitingMs: waitingMs(), ...buffer.levels() })

  const looking = clock.every(LOOK_INTERVAL_MS, () => {
    if (isStalled()) buffer.spill()
    // The disk may work again.
    refill()
    options.onLook?.(vitals(), clock.now(), buffer.roomBytes())
    if (isLagging()) stateChanged.notify()
  })

  // Only an abort ends it before us, and then its error is expected.
  const connected = keepConnected().catch((error) => {
    if (!stop.signal.aborted) throw error
  })
  refill()

  return {
    wants: (full) =>
      (isFree() && (full || !coalescing.isOpen())) ||
      ((isLagging() || isImpatient()) && buffer.wants(full, isStalled(), mayDrop())),
    writePartial: (batch) => coalescing.write(isFree() ? session : undefined, batch),
    put(batch) {
      const partial = coalescing.close(batch)
      if (partial) {
        // It was written when no alert was ahead of it.
        buffer.setOut(partial)
        startNewest()
      } else buffer.push(batch)
      refill()
    },
    async drain() {
      while (inFlight.length > 0) await stateChanged.wait()
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
      looking[Symbol.dispose]()
      stop.abort()
      session?.close()
      await connected
      buffer.close()
    },
  }
}

function observeDelivery(counters: Counters, { batch, publishedAt }: InFlight, clock: Clock): void {
  observe(counters.batchAlerts, batch.count)
  observe(counters.ackSeconds, (clock.now() - publishedAt) / 1000)
  const now = clock.date()
  for (let index = 0; index < batch.count; index++) {
    // NaN where the alert has no time. A clock may be ahead of ours.
    const delay = now - batch.times[index]!
    if (!Number.isNaN(delay)) observe(counters.delaySeconds, Math.max(delay, 0) / 1000)
  }
}
