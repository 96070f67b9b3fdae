// The books: plain integers, added to as things happen, read when somebody asks.
// They balance: read + restored = delivered + filtered + rejected + dropped + unreadable + held.

import { type LineReject, PRIORITIES } from '../../shared/alert/alert.ts'
import { createHistogram, type Histogram } from './histogram.ts'

/** Why something that was read is not delivered and never will be. */
export type RejectReason = LineReject | 'too_long' | 'internal_error' | DeliveryReject

/** Alerts that NATS refused: these count as lost. */
export type DeliveryReject = 'exceeds_max_payload' | 'permission_denied' | 'refused_by_stream'

export interface Counters {
  bytesRead: number
  /** Lines that were not blank; a glued line counts once for each of its pieces. */
  read: number
  /** Of these, rejected as `internal_error` when they were read; what comes back from the spool may be so, too. */
  linesFailed: number
  delivered: number
  /** Of these, alerts that the stream had already: JetStream keeps each once. */
  duplicates: number
  /** Below --min-priority, by index into PRIORITIES. */
  readonly filtered: number[]
  /** In the spool when we started: read by an earlier process. */
  restored: number
  /** In the spool now: held, and safe. */
  spooled: number
  /** Shed by --when-full drop, by index into PRIORITIES. */
  readonly dropped: number[]
  /** In a spool that could no longer be read. */
  unreadable: number
  readonly rejected: Record<RejectReason, number>
  /** Alerts published once more: after a lost connection, or since JetStream did not take them. */
  resent: number
  /** Connections so far. */
  sessions: number
  /** What the disk of the spool did not do. */
  spoolErrors: number
  /** How long reading has paused since nobody took what was read, in ms; and since when it does. */
  pausedMs: number
  pausedSince: number | undefined
  /** Alerts in a batch that was confirmed. */
  readonly batchAlerts: Histogram
  /** From the first publication of a batch on a session to its confirmation, in seconds. */
  readonly ackSeconds: Histogram
  /** From the alert's own time to its confirmation, in seconds. */
  readonly delaySeconds: Histogram
}

const SECONDS = [0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1, 3, 10]

export function createCounters(): Counters {
  return {
    bytesRead: 0,
    read: 0,
    linesFailed: 0,
    delivered: 0,
    duplicates: 0,
    filtered: PRIORITIES.map(() => 0),
    restored: 0,
    spooled: 0,
    dropped: PRIORITIES.map(() => 0),
    unreadable: 0,
    rejected: {
      invalid_json: 0,
      not_an_alert: 0,
      too_long: 0,
      internal_error: 0,
      exceeds_max_payload: 0,
      permission_denied: 0,
      refused_by_stream: 0,
    },
    resent: 0,
    sessions: 0,
    spoolErrors: 0,
    pausedMs: 0,
    pausedSince: undefined,
    batchAlerts: createHistogram([1, 3, 10, 30, 100, 300, 1000, 3000]),
    ackSeconds: createHistogram(SECONDS),
    delaySeconds: createHistogram([...SECONDS, 60, 300, 1800, 7200]),
  }
}

const total = (counts: readonly number[]) => counts.reduce((sum, count) => sum + count, 0)

export const totalRejected = ({ rejected }: Counters): number => total(Object.values(rejected))
export const totalDropped = ({ dropped }: Counters): number => total(dropped)
export const totalFiltered = ({ filtered }: Counters): number => total(filtered)
export const totalBatches = ({ batchAlerts }: Counters): number => total(batchAlerts.counts)

/** Alerts read and neither confirmed nor put aside. */
export function held(counters: Counters): number {
  const { read, restored, delivered, unreadable } = counters
  const ended =
    totalFiltered(counters) + totalRejected(counters) + totalDropped(counters) + unreadable
  return read + restored - delivered - ended
}

/** Alerts that were read and will not reach anybody. */
export function lost(counters: Counters): number {
  const { rejected, spooled, unreadable } = counters
  const refused =
    rejected.exceeds_max_payload + rejected.permission_denied + rejected.refused_by_stream
  // Of these lines it is not known; each may have been an alert.
  const failed = rejected.internal_error
  return held(counters) - spooled + refused + failed + totalDropped(counters) + unreadable
}
