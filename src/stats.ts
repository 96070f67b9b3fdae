// The books: plain integers, added to as things happen, read when somebody asks.
// They balance: read + restored = delivered + filtered + rejected + dropped + unreadable + held.

import { type LineReject, PRIORITIES } from './alert.ts'

/** Why something that was read is not delivered and never will be. */
export type RejectReason = LineReject | 'too_long' | DeliveryReject

/** Alerts that NATS refused: these count as lost. */
export type DeliveryReject = 'exceeds_max_payload' | 'permission_denied' | 'refused_by_stream'

export interface Stats {
  /** Lines that were not blank; a glued line counts once for each of its pieces. */
  read: number
  delivered: number
  /** Of these, alerts that the stream had already: JetStream keeps each once. */
  duplicates: number
  /** Below --min-priority. */
  filtered: number
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
  batches: number
}

export function createStats(): Stats {
  return {
    read: 0,
    delivered: 0,
    duplicates: 0,
    filtered: 0,
    restored: 0,
    spooled: 0,
    dropped: PRIORITIES.map(() => 0),
    unreadable: 0,
    rejected: {
      invalid_json: 0,
      not_an_alert: 0,
      too_long: 0,
      exceeds_max_payload: 0,
      permission_denied: 0,
      refused_by_stream: 0,
    },
    resent: 0,
    batches: 0,
  }
}

export function totalRejected({ rejected }: Stats): number {
  return Object.values(rejected).reduce((sum, count) => sum + count, 0)
}

export function totalDropped({ dropped }: Stats): number {
  return dropped.reduce((sum, count) => sum + count, 0)
}

/** Alerts read and neither confirmed nor put aside. */
export function held(stats: Stats): number {
  const { read, restored, delivered, filtered, unreadable } = stats
  return (
    read + restored - delivered - filtered - totalRejected(stats) - totalDropped(stats) - unreadable
  )
}

/** Alerts that were read and will not reach anybody. */
export function lost(stats: Stats): number {
  const { rejected, spooled, unreadable } = stats
  const refused =
    rejected.exceeds_max_payload + rejected.permission_denied + rejected.refused_by_stream
  return held(stats) - spooled + refused + totalDropped(stats) + unreadable
}
