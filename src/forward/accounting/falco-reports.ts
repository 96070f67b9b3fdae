// Falco's internal alerts: it raises them about itself. Two kinds have numbers in their output_fields, which are
// counted: what Falco dropped, and its metrics.

import { type Alert, outputField, parseAlert } from '../../shared/alert/alert.ts'
import type { Clock } from '../../shared/clock.ts'
import type { Logger } from '../../shared/log.ts'
import type { Counters } from './counters.ts'

/** What an internal alert is about. */
export type Report = 'drops' | 'metrics' | 'other'

const [SOURCE, PREFIX] = ['internal', 'Falco internal: ']
const REPORTS: ReadonlyMap<string, Report> = new Map([
  [`${PREFIX}syscall event drop`, 'drops'],
  [`${PREFIX}metrics snapshot`, 'metrics'],
])

/** Undefined: a rule raised the alert. Neither a rule nor a plugin can give an alert Falco's source and prefix both. */
export function reportOf({ rule, source }: Alert): Report | undefined {
  if (source !== SOURCE || !rule.startsWith(PREFIX)) return undefined
  return REPORTS.get(rule) ?? 'other'
}

/** Takes an internal alert, `bytes[start, end)`, that was raised at `time` (ms since 1970, or NaN). */
export type OnReport = (
  report: Report,
  time: number,
  bytes: Buffer,
  start: number,
  end: number,
) => void

/** Falco's metrics that show whether it sees: our name, and the field in its snapshot. */
const FIELDS = {
  eventsPerSecond: 'falco.evts_rate_sec',
  kernelDrops: 'scap.n_drops',
  queueDrops: 'falco.outputs_queue_num_drops',
} as const
export type SnapshotField = keyof typeof FIELDS

/** What Falco last reported of one event source, such as syscall. */
export interface Snapshot extends Readonly<Partial<Record<SnapshotField, number>>> {
  /** Milliseconds since 1970, by Falco's clock. */
  readonly time: number
  /** By ours. */
  readonly readAt: number
}

const [SOURCES_MAX, SOURCE_LENGTH_MAX] = [16, 64]
/** Falco's `metrics.interval` is an hour. What is older than this says nothing about now. */
const FRESH_MS = 3 * 3_600_000
const QUIET_MS = 30_000

export type FalcoReports = ReturnType<typeof createFalcoReports>

export function createFalcoReports(log: Logger, clock: Clock, counters: Counters) {
  const snapshots = new Map<string, Snapshot>()
  let quietUntil = Number.NEGATIVE_INFINITY
  let unlogged = 0

  function takeDrops(alert: Alert): void {
    const dropped = numberOf(outputField(alert, 'n_drops'))
    if (dropped === undefined) counters.malformedReports++
    // A drop alert without a number is about one event at least.
    unlogged += dropped ?? 1
    counters.falcoDrops += dropped ?? 1
    if (clock.now() < quietUntil) return
    quietUntil = clock.now() + QUIET_MS
    log.warn({ dropped: unlogged }, 'Falco dropped system calls: it is partly blind')
    unlogged = 0
  }

  function takeMetrics(alert: Alert, time: number): void {
    const source = outputField(alert, 'evt.source')
    if (!isName(source) || Number.isNaN(time)) {
      counters.malformedReports++
      return
    }
    const numbers: Partial<Record<SnapshotField, number>> = {}
    for (const [name, field] of Object.entries(FIELDS)) {
      const value = outputField(alert, field)
      const number = numberOf(value)
      if (number !== undefined) numbers[name as SnapshotField] = number
      else if (value !== undefined) counters.malformedReports++
    }
    // The map is in the order of the updates.
    snapshots.delete(source)
    if (snapshots.size === SOURCES_MAX) snapshots.delete(snapshots.keys().next().value!)
    snapshots.set(source, { time, readAt: clock.now(), ...numbers })
  }

  const take: OnReport = (report, time, bytes, start, end) => {
    if (report === 'other') return
    const alert = parseAlert(bytes, start, end)
    if (typeof alert === 'string') counters.malformedReports++
    else if (report === 'drops') takeDrops(alert)
    else takeMetrics(alert, time)
  }

  return {
    take,
    /** By event source: the 16 that were updated last, the latest at the end. */
    snapshots: (): ReadonlyMap<string, Snapshot> => snapshots,
  }
}

/** Whether the numbers of a snapshot still say how Falco is. */
export const isFresh = ({ readAt }: Snapshot, now: number) => now - readAt < FRESH_MS

/** Falco writes numbers as such, or as text. It subtracts without a sign: what would be below zero is huge. */
function numberOf(value: unknown): number | undefined {
  const number = typeof value === 'string' && /^\d{1,16}$/.test(value) ? Number(value) : value
  const isCount = typeof number === 'number' && number >= 0 && number <= Number.MAX_SAFE_INTEGER
  return isCount ? number : undefined
}

const isName = (value: unknown): value is string =>
  typeof value === 'string' &&
  value !== '' &&
  value.length <= SOURCE_LENGTH_MAX &&
  value.isWellFormed()
