// Where batches go, to NATS (publisher.ts) or to standard output (dry-run.ts), and how it is doing.

import type { Demand } from '../buffer/batcher.ts'
import type { Batch } from '../encoding/batch.ts'

/**
 * The server lags. Until then reading waits for it, which costs no memory; from then on the buffer is
 * filled, which a flood at full speed would otherwise do for nothing.
 */
export const LAGGING_MS = 100
/** The server stalls: it is as good as away, and all that is held goes to disk. */
export const STALLED_MS = 1_000

export interface Sink extends Demand {
  /** Takes the batch over. */
  put(batch: Batch): void | Promise<void>
  /** Resolves when everything taken is delivered. */
  drain(): Promise<void>
  /** After a bug, at once: keeps what it can, and the batch not put yet, for the next start. */
  salvage(takeRest: () => Batch | undefined): void
  /** None of a dry run. */
  readonly vitals?: () => Vitals
  [Symbol.asyncDispose](): Promise<void>
}

export interface Vitals {
  readonly connected: boolean
  /** How long something has been in flight with nothing confirmed. */
  readonly waitingMs: number
  readonly inFlightAlerts: number
  /** Not in the spool. */
  readonly bufferAlerts: number
  /** Of batches that are not in flight. */
  readonly bufferBytes: number
  readonly spoolBytes: number
}
