// From reads to batches. Reads are pushed in; whoever publishes pulls a batch out, which is what
// is there when it looks: one alert at a low rate, up to the limit when publishing is the slower
// side. That is all the batching there is: no timer, no linger.

import { type Alert, PRIORITIES, parseAlert, priorityIndex, trimEnd, unglue } from './alert.ts'
import { append, type BatchPool } from './batch.ts'
import { createLineSplitter } from './lines.ts'
import type { RejectReason, Stats } from './stats.ts'
import { createWakeup } from './wakeup.ts'

export interface IntakeOptions {
  readonly pool: BatchPool
  /** The longest chunk that `write` will be given. */
  readonly readBytes: number
  readonly maxLineBytes: number
  /** Index into PRIORITIES of the least severe that passes. */
  readonly minPriority: number
  readonly subjectFor: (alert: Alert) => string
  readonly stats: Stats
  /** Told of everything that is not an alert; `bytes` is valid during the call only. */
  readonly onReject: (reason: RejectReason, bytes: Buffer, length: number) => void
}

export type Intake = ReturnType<typeof createIntake>

export function createIntake(options: IntakeOptions) {
  const { pool, readBytes, maxLineBytes, minPriority, subjectFor, stats, onReject } = options
  const filtering = minPriority < PRIORITIES.length - 1
  const splitter = createLineSplitter(maxLineBytes, { line, tooLong })
  const filled = createWakeup()
  const emptied = createWakeup()
  let batch = pool.borrow()
  let ended = false

  function line(bytes: Buffer, start: number, end: number): void {
    if (start === end) return
    const found = parseAlert(bytes, start, end)
    if (typeof found !== 'string') {
      accept(found, bytes, start, end)
      return
    }
    if (trimEnd(bytes, start, end) === start) return
    const pieces = found === 'invalid_json' ? unglue(bytes, start, end) : undefined
    for (const piece of pieces ?? [{ start, end, found }])
      if (typeof piece.found !== 'string') accept(piece.found, bytes, piece.start, piece.end)
      else reject(piece.found, bytes.subarray(piece.start, piece.end), piece.end - piece.start)
  }

  function accept(alert: Alert, bytes: Buffer, start: number, end: number): void {
    stats.read++
    // A priority that Falco does not know cannot be judged: it passes.
    if (filtering && (priorityIndex(alert.priority) ?? 0) > minPriority) stats.filtered++
    else append(batch, subjectFor(alert), bytes, start, end)
  }

  function tooLong(head: Buffer, length: number): void {
    reject('too_long', head, length)
  }

  function reject(reason: RejectReason, bytes: Buffer, length: number): void {
    stats.read++
    stats.rejected[reason]++
    onReject(reason, bytes, length)
  }

  /** Whether one more read could take the batch over its limit. */
  const isFull = () => batch.count > 0 && batch.used + splitter.held() + readBytes > pool.batchBytes

  return {
    /** Takes a chunk whole. False: stop reading, and go on after `room()`. */
    write(chunk: Buffer): boolean {
      splitter.push(chunk)
      if (batch.count > 0) filled.notify()
      return !isFull()
    },

    async room(): Promise<void> {
      while (isFull()) await emptied.wait()
    },

    /** The input has ended; a last line without a newline counts as a line. */
    end(): void {
      splitter.end()
      ended = true
      filled.notify()
    },

    /** Whether a line has begun whose newline has not come. */
    isMidLine: () => splitter.held() > 0,

    /** Batches of at least one alert, in order, until the input has ended. */
    async *batches() {
      for (;;) {
        while (batch.count === 0) {
          if (ended) return
          await filled.wait()
        }
        const taken = batch
        batch = pool.borrow()
        emptied.notify()
        yield taken
      }
    },
  }
}
