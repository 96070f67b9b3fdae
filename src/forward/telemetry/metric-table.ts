// The table of our own metrics: types, names and help (metric-names.json), and the value of each.

import pkg from '../../../package.json' with { type: 'json' }
import { standardError } from '../../shared/process/output.ts'
import {
  byPriority,
  type Counters,
  type Histogram,
  pausedFor,
  total,
} from '../accounting/counters.ts'
import { EVENT_LABELS, type FalcoEvents } from '../accounting/falco-events.ts'
import type { Vitals } from '../delivery/sink.ts'
import METRICS from './metric-names.json' with { type: 'json' }

/** Everything that metrics report, at one moment. */
export interface Measured {
  readonly counters: Counters
  readonly vitals: Vitals
  /** Alerts read and not yet taken by the publisher. */
  readonly batcherAlerts: number
  readonly mode: 'core' | 'jetstream'
  readonly bufferLimitBytes: number
  /** Undefined without a spool. */
  readonly spoolLimitBytes: number | undefined
  /** Undefined where `falco_events` is off. */
  readonly events: FalcoEvents | undefined
}

export type Labels = Readonly<Record<string, string>>
export type Sample = readonly [labels: Labels, value: number]

export type Value = number | Iterable<Sample> | Histogram | undefined

export { METRICS }

type Types = typeof METRICS
export type Name = { [Type in keyof Types]: keyof Types[Type] }[keyof Types]

/** The value of each metric, all of one moment. Undefined: the metric does not apply. */
export function valuesOf(measured: Measured): Readonly<Record<Name, Value>> {
  const { counters, vitals, mode, spoolLimitBytes, events } = measured
  const { user, system } = process.cpuUsage()
  const { delivered, duplicates } = counters
  const published = {
    acked: delivered - duplicates,
    ...(mode === 'jetstream' && { duplicate: duplicates }),
  }
  const withSpool = (value: number) => (spoolLimitBytes === undefined ? undefined : value)
  return {
    falco_nats_bytes_read_total: counters.bytesRead,
    falco_nats_lines_read_total: byLabel('result', {
      alert: counters.read - total(counters.rejectedLines),
      ...counters.rejectedLines,
    }),
    falco_nats_alerts_restored_total: withSpool(counters.restored),
    falco_nats_alerts_published_total: byLabel('result', published, { mode }),
    falco_nats_alerts_rejected_total: byLabel('reason', counters.rejected),
    falco_nats_alerts_filtered_total: byLabel('priority', byPriority(counters.filtered)),
    falco_nats_alerts_dropped_total: [
      ...byLabel('priority', byPriority(counters.dropped), { reason: 'buffer_full' }),
      [{ reason: 'spool_damaged', priority: 'unknown' }, counters.unreadable],
    ],
    falco_nats_alerts_resent_total: counters.resent,
    falco_nats_reconnects_total: Math.max(0, counters.sessions - 1),
    falco_nats_input_paused_seconds_total: (counters.pausedMs + pausedFor(counters)) / 1000,
    falco_nats_spool_errors_total: withSpool(counters.spoolErrors),
    falco_nats_log_lines_dropped_total: standardError().dropped(),
    process_cpu_seconds_total: (user + system) / 1e6,
    falco_nats_falco_events_series_folded_total: events?.folded(),
    falco_events: events && eventSamples(events),
    falco_nats_connected: Number(vitals.connected),
    falco_nats_input_paused: Number(counters.pausedSince !== undefined),
    falco_nats_in_flight_alerts: vitals.inFlightAlerts,
    falco_nats_buffer_alerts: vitals.bufferAlerts + measured.batcherAlerts,
    falco_nats_buffer_bytes: vitals.bufferBytes,
    falco_nats_buffer_limit_bytes: measured.bufferLimitBytes,
    falco_nats_spool_alerts: withSpool(counters.spooled),
    falco_nats_spool_bytes: withSpool(vitals.spoolBytes),
    falco_nats_spool_limit_bytes: spoolLimitBytes,
    falco_nats_build_info: [[{ version: pkg.version, node: process.version }, 1]],
    falco_nats_batch_alerts: counters.batchAlerts,
    falco_nats_ack_seconds: counters.ackSeconds,
    falco_nats_delivery_delay_seconds: counters.delaySeconds,
  }
}
const byLabel = (
  label: string,
  counts: Readonly<Record<string, number>>,
  more: Labels = {},
): Sample[] => Object.entries(counts).map(([name, count]) => [{ ...more, [label]: name }, count])

/** One at a time: there may be many. */
function* eventSamples(events: FalcoEvents): Iterable<Sample> {
  for (const { values, count } of events.series().values())
    yield [Object.fromEntries(EVENT_LABELS.map((label, index) => [label, values[index]!])), count]
}
