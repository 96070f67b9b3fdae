// Where batches go: to NATS (publisher.ts) or to standard output (dry-run.ts).

import type { Demand } from '../buffer/batcher.ts'
import type { Batch } from '../encoding/batch.ts'

/** The server lags: new alerts go to the buffer at once. */
export const LAGGING_MS = 100
/** Alerts may be dropped: Falco may wait as long, since it throws its queue away after 2 s only (output_timeout). */
export const DROPPING_MS = 500
/** The server stalls: all alerts held go to disk. */
export const STALLED_MS = 1_000

export interface Sink extends Demand {
  /** Takes the batch over. */
  put(batch: Batch): void | Promise<void>
  /** Resolves when everything taken is delivered. */
  drain(): Promise<void>
  /** After a bug, at once: keeps for the next start what it can, the batch that was not put included. */
  salvage(takeRest: () => Batch | undefined): void
  /** A dry run has none. */
  readonly vitals?: () => Vitals
  [Symbol.asyncDispose](): Promise<void>
}

export interface Vitals {
  readonly connected: boolean
  /** How long alerts have been in flight without a confirmation. */
  readonly waitingMs: number
  readonly inFlightAlerts: number
  /** Not in the spool. */
  readonly bufferAlerts: number
  /** Of batches that are not in flight. */
  readonly bufferBytes: number
  readonly spoolBytes: number
}
