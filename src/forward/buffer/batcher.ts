// From reads to batches. The source pushes reads in; the sink pulls out all alerts read by then, without
// a timer: one at a low rate, a full batch when publishing is the slower side.

import type { LineReject } from '../../shared/alert/alert.ts'
import type { Clock } from '../../shared/clock.ts'
import type { Notifier } from '../../shared/notifier.ts'
import type { Counters } from '../accounting/counters.ts'
import type { FalcoEvents } from '../accounting/falco-events.ts'
import type { OnReport } from '../accounting/falco-reports.ts'
import type { ReadReject } from '../accounting/rejects.ts'
import { append, type Batch, type BatchPool } from '../encoding/batch.ts'
import type { Encoder, Reading } from '../encoding/encoder.ts'
import { trimEnd, unglue } from '../encoding/salvage.ts'
import { createLineSplitter } from '../input/line-splitter.ts'

/**
 * Reading waits so long for a server that is slower than Falco, which costs no memory; then the full batch goes to the
 * buffer. Meanwhile the pipe holds what Falco writes, as a rule.
 */
export const PATIENCE_MS = 20
/** A timer may be early by as much. */
const TIMER_EARLY_MS = 1

/** Logs a line that is no alert. `bytes` is valid during the call only; `error` is what was thrown, if anything. */
export type OnReject = (reason: ReadReject, bytes: Buffer, length: number, error?: unknown) => void

/** What the taking side asks for. */
export interface Demand {
  /** Whether it takes a batch now, given whether that is full (or the last); asked anew at each change. */
  wants(full: boolean): boolean
  /** Sees the batch being filled after each read. True: it need not be offered yet. */
  readonly writePartial?: (batch: Batch) => boolean
}

export type Batcher = ReturnType<typeof createBatcher>

export function createBatcher(options: {
  pool: BatchPool
  encoder: Encoder
  counters: Counters
  /** Counts the alerts of each kind, if configured. */
  events: FalcoEvents | undefined
  /** Notified when there is something new to take, or room again. */
  stateChanged: Notifier
  onReject: OnReject
  /** Takes Falco's internal alerts, dropped or not. */
  onReport: OnReport
  clock: Clock
  /** The longest chunk that `write` is given. */
  readBytes: number
  maxLineBytes: number
  /** Index into PRIORITIES of the least severe that passes. */
  minPriority: number
  /** Drops Falco's internal alerts; else each passes, whatever its priority. */
  dropInternal: boolean
}) {
  const { pool, encoder, counters, events, stateChanged, onReject, onReport, clock } = options
  const { readBytes, maxLineBytes, minPriority, dropInternal } = options
  const splitter = createLineSplitter(maxLineBytes, {
    line,
    tooLong: (head, length) => reject('too_long', head, length),
  })
  let batch = pool.borrow()
  let demand: Demand | undefined
  let handingOver = false
  let ended = false
  let cutOff = false

  function line(bytes: Buffer, start: number, end: number): void {
    if (start === end) return
    // A bug of ours costs one line, not the process.
    try {
      const found = encoder.read(bytes, start, end)
      if (typeof found !== 'string') accept(found, bytes, start, end)
      else if (trimEnd(bytes, start, end) > start) notAnAlert(found, bytes, start, end)
    } catch (error) {
      reject('internal_error', bytes.subarray(start, end), end - start, error)
    }
  }

  function notAnAlert(found: LineReject, bytes: Buffer, start: number, end: number): void {
    const pieces = found === 'invalid_json' ? unglue(bytes, start, end) : undefined
    for (const piece of pieces ?? [{ start, end, found }])
      if (typeof piece.found !== 'string') line(bytes, piece.start, piece.end)
      else reject(piece.found, bytes.subarray(piece.start, piece.end), piece.end - piece.start)
  }

  function accept(reading: Reading, bytes: Buffer, start: number, end: number): void {
    const { severity, report } = reading.kind
    if (events !== undefined) events.count(reading.kind, reading.alert)
    if (report !== undefined) onReport(report, reading.time, bytes, start, end)
    if (report === undefined ? severity > minPriority : dropInternal) counters.filtered[severity]!++
    else append(batch, reading, bytes, start, end)
    // Last, so that a line that throws is counted once, as a reject.
    counters.read++
  }

  function reject(reason: ReadReject, bytes: Buffer, length: number, error?: unknown): void {
    counters.read++
    // The stop did not wait for its rest: the line is undelivered, not bad.
    if (cutOff && reason === 'invalid_json') return
    counters.rejected[reason]++
    counters.rejectedLines[reason]++
    onReject(reason, bytes, length, error)
  }

  /** Whether one more read, with a quarter for subjects and headers, could take the batch over its limit. */
  const isFull = () =>
    batch.count > 0 && batch.used + splitter.held() + 1.25 * readBytes > pool.batchBytes

  function takeBatch(): Batch {
    const taken = batch
    batch = pool.borrow()
    stateChanged.notify()
    return taken
  }

  return {
    /** Takes a chunk whole. False: the batch is full; wait for `room()`, unless the input is bounded. */
    write(chunk: Buffer): boolean {
      counters.bytesRead += chunk.length
      splitter.push(chunk)
      // While a batch is handed over, the next must not get ahead of it.
      if (batch.count > 0 && (handingOver || !demand?.writePartial?.(batch))) stateChanged.notify()
      return !isFull()
    },
    /** Resolves when it is no longer full; after a stop, at the next change. */
    async room(stop?: AbortSignal): Promise<void> {
      if (!isFull()) return
      counters.pausedSince = clock.now()
      using _ = clock.after(PATIENCE_MS + TIMER_EARLY_MS, stateChanged.notify)
      while (isFull() && !stop?.aborted) await stateChanged.wait()
      counters.pausedMs += clock.now() - counters.pausedSince
      counters.pausedSince = undefined
    },
    /** The input has ended; a last line needs no newline. `isCutOff`: the rest of it may be lost. */
    end(isCutOff = false): void {
      cutOff = isCutOff
      splitter.end()
      ended = true
      stateChanged.notify()
    },
    lines: () => counters.read,
    /** Whether a line has begun whose newline has not come. */
    isMidLine: () => splitter.held() > 0,
    /** Batches of at least one alert, in order, as they are wanted, until the input has ended. */
    async *batches(by: Demand): AsyncGenerator<Batch> {
      demand = by
      for (;;) {
        while (batch.count === 0 || !by.wants(ended || isFull())) {
          if (batch.count === 0 && ended) return
          await stateChanged.wait()
        }
        handingOver = true
        yield takeBatch()
        handingOver = false
      }
    },
    /** Alerts that are not taken yet. */
    waiting: () => batch.count,
    /** Takes the alerts of the last batch, full or not, when no more will be delivered. */
    takeRest: (): Batch | undefined => (batch.count > 0 ? takeBatch() : undefined),
  }
}
