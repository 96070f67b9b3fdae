// From reads to batches. Reads are pushed in; the publisher pulls a batch out, which is what is there
// at that moment: one alert at a low rate, up to the limit when publishing is the slower side. There is
// no timer and no linger.

import type { LineReject } from '../../shared/alert/alert.ts'
import type { Notifier } from '../../shared/notifier.ts'
import type { Counters } from '../accounting/counters.ts'
import type { FalcoEvents } from '../accounting/falco-events.ts'
import type { ReadReject } from '../accounting/rejects.ts'
import { append, type Batch, type BatchPool } from '../encoding/batch.ts'
import type { Encoder, Reading } from '../encoding/encoder.ts'
import { trimEnd, unglue } from '../encoding/salvage.ts'
import { createLineSplitter } from '../input/line-splitter.ts'

export interface BatcherOptions {
  readonly pool: BatchPool
  /** The longest chunk that `write` will be given. */
  readonly readBytes: number
  readonly maxLineBytes: number
  /** Index into PRIORITIES of the least severe that passes. */
  readonly minPriority: number
  readonly encoder: Encoder
  readonly counters: Counters
  /** Counts the alerts of each kind, where that is wanted. */
  readonly events: FalcoEvents | undefined
  /** Notified when there is something new to take, or room again. */
  readonly stateChanged: Notifier
  /** Called for all that is not an alert; `bytes` is valid during the call only. */
  readonly onReject: OnReject
}

/** `error`: what was thrown, where that is the reason. */
export type OnReject = (reason: ReadReject, bytes: Buffer, length: number, error?: unknown) => void

/** What the taking side asks for. */
export interface Demand {
  /** Whether a batch is wanted now, given whether it is full (or the last); asked anew at each change. */
  wants(full: boolean): boolean
  /** Is shown the batch being filled after each read. True: it need not be offered yet. */
  readonly writePartial?: (batch: Batch) => boolean
}

export type Batcher = ReturnType<typeof createBatcher>

export function createBatcher({
  pool,
  readBytes,
  maxLineBytes,
  minPriority,
  encoder,
  counters,
  events,
  stateChanged,
  onReject,
}: BatcherOptions) {
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
    // A bug of ours costs one line, and not the process.
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
    const { severity } = reading.kind
    if (events !== undefined) events.count(reading.kind, reading.alert)
    if (severity > minPriority) counters.filtered[severity]!++
    else append(batch, reading, bytes, start, end)
    // Last: a line for which something was thrown is counted as a reject, and once.
    counters.read++
  }

  function reject(reason: ReadReject, bytes: Buffer, length: number, error?: unknown): void {
    counters.read++
    // Its rest was not waited for: no bad line but one that was not delivered.
    if (cutOff && reason === 'invalid_json') return
    counters.rejected[reason]++
    counters.rejectedLines[reason]++
    onReject(reason, bytes, length, error)
  }

  /** Whether one more read could take the batch over its limit, with what each alert needs beside its line. */
  const isFull = () =>
    batch.count > 0 && batch.used + splitter.held() + 1.25 * readBytes > pool.batchBytes

  return {
    /** Takes a chunk whole. False: it is full; go on after `room()`, unless the chunks are bounded. */
    write(chunk: Buffer): boolean {
      counters.bytesRead += chunk.length
      splitter.push(chunk)
      // While a batch is handed over, the next must not get ahead of it.
      if (batch.count > 0 && (handingOver || !demand?.writePartial?.(batch))) stateChanged.notify()
      return !isFull()
    },

    /** Resolves when it is no longer full; also at a change after the stop. */
    async room(stop?: AbortSignal): Promise<void> {
      if (!isFull()) return
      const since = performance.now()
      counters.pausedSince = since
      while (isFull() && !stop?.aborted) await stateChanged.wait()
      counters.pausedMs += performance.now() - since
      counters.pausedSince = undefined
    },

    /** The input has ended; a last line without a newline counts as a line. `isCutOff`: more of it may have come. */
    end(isCutOff = false): void {
      cutOff = isCutOff
      splitter.end()
      ended = true
      stateChanged.notify()
    },

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

    /** Takes what is there, full or not: for when nothing more will be delivered. */
    takeRest: (): Batch | undefined => (batch.count > 0 ? takeBatch() : undefined),
  }

  function takeBatch(): Batch {
    const taken = batch
    batch = pool.borrow()
    stateChanged.notify()
    return taken
  }
}
