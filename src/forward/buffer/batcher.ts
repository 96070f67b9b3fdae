// From reads to batches. Reads are pushed in; whoever publishes pulls a batch out, which is what
// is there when it looks: one alert at a low rate, up to the limit when publishing is the slower
// side. That is all the batching there is: no timer, no linger.

import { type LineReject, trimEnd, unglue } from '../../shared/alert/alert.ts'
import type { Notifier } from '../../shared/notifier.ts'
import type { Counters, RejectReason } from '../accounting/counters.ts'
import type { FalcoEvents } from '../accounting/falco-events.ts'
import type { Kind } from '../encoding/alert-kinds.ts'
import type { Batch, BatchPool } from '../encoding/batch.ts'
import type { Encoder } from '../encoding/encoder.ts'
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
  /** Counts the alerts of each kind, if somebody wants to know. */
  readonly events: FalcoEvents | undefined
  /** Notified when there is something new to take, or room again. */
  readonly stateChanged: Notifier
  /** Told of everything that is not an alert; `bytes` is valid during the call only. */
  readonly onReject: OnReject
}

/** `error`: what was thrown, where that is the reason. */
export type OnReject = (
  reason: RejectReason,
  bytes: Buffer,
  length: number,
  error?: unknown,
) => void

/** What the taking side asks for. */
export interface Demand {
  /** Whether a batch is wanted now, given whether it is full (or the last); asked anew at each change. */
  wants(full: boolean): boolean
  /** Is shown the batch being filled after each read. True: it need not be offered yet. */
  readonly writePartial?: (batch: Batch) => boolean
}

export type Batcher = ReturnType<typeof createBatcher>

export function createBatcher(options: BatcherOptions) {
  const {
    pool,
    readBytes,
    maxLineBytes,
    minPriority,
    encoder,
    counters,
    events,
    stateChanged,
    onReject,
  } = options
  const splitter = createLineSplitter(maxLineBytes, { line, tooLong })
  let batch = pool.borrow()
  let demand: Demand | undefined
  let handingOver = false
  let ended = false
  let cutOff = false

  function line(bytes: Buffer, start: number, end: number): void {
    if (start === end) return
    // Whatever is wrong with us costs one line, and not the process.
    try {
      const found = encoder.read(bytes, start, end)
      if (typeof found !== 'string') accept(found, bytes, start, end)
      else if (trimEnd(bytes, start, end) > start) notAnAlert(found, bytes, start, end)
    } catch (error) {
      counters.linesFailed++
      reject('internal_error', bytes.subarray(start, end), end - start, error)
    }
  }

  function notAnAlert(found: LineReject, bytes: Buffer, start: number, end: number): void {
    const pieces = found === 'invalid_json' ? unglue(bytes, start, end) : undefined
    for (const piece of pieces ?? [{ start, end, found }])
      if (typeof piece.found !== 'string') line(bytes, piece.start, piece.end)
      else reject(piece.found, bytes.subarray(piece.start, piece.end), piece.end - piece.start)
  }

  function accept(kind: Kind, bytes: Buffer, start: number, end: number): void {
    const { severity } = kind
    if (events !== undefined) events.count(kind, encoder.alert)
    if (severity > minPriority) counters.filtered[severity]!++
    else encoder.add(batch, kind, bytes, start, end)
    // Last: a line for which something was thrown is counted as a reject, and once.
    counters.read++
  }

  function tooLong(head: Buffer, length: number): void {
    reject('too_long', head, length)
  }

  function reject(reason: RejectReason, bytes: Buffer, length: number, error?: unknown): void {
    counters.read++
    // Its rest was not waited for: no bad line but one that was not delivered.
    if (cutOff && reason === 'invalid_json') return
    counters.rejected[reason]++
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

    /** Resolves when it is no longer full; also at a `change` after the stop. */
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

    /** Alerts that nobody has taken yet. */
    waiting: () => batch.count,

    /** What is there, full or not: for when nothing more will be delivered. */
    takeRest: (): Batch | undefined => (batch.count > 0 ? takeBatch() : undefined),
  }

  function takeBatch(): Batch {
    const taken = batch
    batch = pool.borrow()
    stateChanged.notify()
    return taken
  }
}
