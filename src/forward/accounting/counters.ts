// The books: plain numbers, counted as things happen, read by the metrics and the last line of the log.
// They balance: read + restored = delivered + filtered + rejected + dropped + unreadable + held.

import { PRIORITIES } from '../../shared/alert/alert.ts'
import { allRejects, REJECTS, type RejectReason } from './rejects.ts'

const SECONDS = [0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1, 3, 10]

export type Counters = ReturnType<typeof createCounters>

export function createCounters() {
  return {
    bytesRead: 0,
    /** Lines that were not blank; a glued line counts once for each of its pieces. */
    read: 0,
    delivered: 0,
    /** Of these, alerts that the stream had already: JetStream keeps each once. */
    duplicates: 0,
    /** Below --min-priority, or internal with --drop-internal, by index into PRIORITIES. */
    filtered: zeros(PRIORITIES),
    /** In the spool at the start: read by an earlier process. */
    restored: 0,
    /** In the spool now: held, and safe. */
    spooled: 0,
    /** Shed by --when-full drop, by index into PRIORITIES. */
    dropped: zeros(PRIORITIES),
    /** In a spool that could no longer be read. */
    unreadable: 0,
    rejected: noneOf(allRejects()),
    /** Of these, those among `read`: an alert that comes back from the spool may fail, too. */
    rejectedLines: noneOf(REJECTS.reading),
    /** Alerts published once more: after a lost connection, or because JetStream did not take them. */
    resent: 0,
    /** Connections so far. */
    sessions: 0,
    /** System calls that Falco reported as dropped: at least so many. */
    falcoDrops: 0,
    /** Falco's internal alerts in which a number was not what it should be. */
    malformedReports: 0,
    /** Failures of the disk under the spool. */
    spoolErrors: 0,
    /** How long pauses of reading lasted that are over, in ms; and since when there is one now. */
    pausedMs: 0,
    pausedSince: undefined as number | undefined,
    /** Alerts in a batch that was confirmed. */
    batchAlerts: createHistogram([1, 3, 10, 30, 100, 300, 1000, 3000]),
    /** From the first publication of a batch on a session to its confirmation, in seconds. */
    ackSeconds: createHistogram(SECONDS),
    /** From the alert's own time to its confirmation, in seconds. */
    delaySeconds: createHistogram([...SECONDS, 60, 300, 1800, 7200]),
  }
}

const zeros = (list: readonly unknown[]): number[] => list.map(() => 0)

const noneOf = <Reason extends RejectReason>(rows: Readonly<Record<Reason, object>>) =>
  Object.fromEntries(Object.keys(rows).map((reason) => [reason, 0])) as Record<Reason, number>

export type Histogram = ReturnType<typeof createHistogram>

export const createHistogram = (bounds: readonly number[]) => ({
  /** Upper bounds of the buckets, inclusive, ascending. */
  bounds,
  /** How many values each bucket has; the last is for those over all bounds. */
  counts: [...zeros(bounds), 0],
  sum: 0,
})

export function observe(histogram: Histogram, value: number): void {
  const { bounds, counts } = histogram
  let bucket = 0
  while (bucket < bounds.length && value > bounds[bucket]!) bucket++
  counts[bucket]!++
  histogram.sum += value
}

export const total = (counts: readonly number[] | Readonly<Record<string, number>>): number =>
  Object.values(counts).reduce((sum, count) => sum + count, 0)
export const totalRejected = ({ rejected }: Counters): number => total(rejected)
export const totalDropped = ({ dropped }: Counters): number => total(dropped)

/** Alerts read and neither confirmed nor ended otherwise. */
export function held(counters: Counters): number {
  const { read, restored, delivered, filtered, unreadable } = counters
  const ended = total(filtered) + totalRejected(counters) + totalDropped(counters) + unreadable
  return read + restored - delivered - ended
}

type Loss = readonly [count: number, why: string]

/** Alerts that were read and will not be delivered: how many, and why. */
export function losses(counters: Counters, hasSpool = false): Loss[] {
  const { rejected, spooled, unreadable } = counters
  const late = hasSpool
    ? 'neither delivered in time nor stored by the spool'
    : 'not delivered in time'
  const all: Loss[] = [[held(counters) - spooled, late]]
  for (const [reason, { lost }] of Object.entries(allRejects()))
    if (lost !== undefined) all.push([rejected[reason as RejectReason], lost])
  all.push([totalDropped(counters), 'dropped because buffer and spool were full'])
  all.push([unreadable, 'unreadable in a damaged spool'])
  return all.filter(([count]) => count > 0)
}

export const lost = (counters: Counters) => total(losses(counters).map(([count]) => count))

export const byPriority = (counts: readonly number[]): Record<string, number> =>
  Object.fromEntries(counts.map((count, index) => [PRIORITIES[index], count]))

export const nonZero = (counts: Readonly<Record<string, number>>): Record<string, number> =>
  Object.fromEntries(Object.entries(counts).filter(([, count]) => count > 0))

/** How long the pause of reading has lasted so far, in ms. */
export const pausedFor = ({ pausedSince }: Counters, now: number): number =>
  pausedSince === undefined ? 0 : now - pausedSince
