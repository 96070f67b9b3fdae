// The table of our own metrics: names, types, help, and where each number comes from.

import pkg from '../../../package.json' with { type: 'json' }
import { PRIORITIES } from '../../shared/alert/alert.ts'
import { standardError } from '../../shared/process/output.ts'
import type { Counters } from '../accounting/counters.ts'
import { EVENT_LABELS, type FalcoEvents } from '../accounting/falco-events.ts'
import type { Histogram } from '../accounting/histogram.ts'
import type { Vitals } from '../delivery/sink.ts'

/** Everything that metrics tell of, as it is at one moment. */
export interface Measured {
  readonly counters: Counters
  readonly vitals: Vitals
  /** Alerts that are read and not yet in a batch on its way to the publisher. */
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

export interface Row {
  readonly name: string
  readonly type: 'counter' | 'gauge' | 'histogram'
  readonly help: string
  /** Nothing: it does not apply. */
  read(measured: Measured): number | Iterable<Sample> | Histogram | undefined
}

export const METRICS: readonly Row[] = [
  {
    name: 'falco_nats_bytes_read_total',
    type: 'counter',
    help: 'Bytes read from the pipe or standard input.',
    read: ({ counters }) => counters.bytesRead,
  },
  {
    name: 'falco_nats_lines_read_total',
    type: 'counter',
    help: 'Lines read that were not blank, by what they were.',
    read: ({ counters: { read, linesFailed: internal_error, rejected } }) => {
      const { invalid_json, not_an_alert, too_long } = rejected
      const rejects = { invalid_json, not_an_alert, too_long, internal_error }
      const alerts = read - invalid_json - not_an_alert - too_long - internal_error
      return byLabel('result', { alert: alerts, ...rejects })
    },
  },
  {
    name: 'falco_nats_alerts_restored_total',
    type: 'counter',
    help: 'Alerts that an earlier process had left in the spool.',
    read: ({ counters, spoolLimitBytes }) => spoolLimitBytes && counters.restored,
  },
  {
    name: 'falco_nats_alerts_published_total',
    type: 'counter',
    help: 'Alerts that NATS has confirmed; duplicate: the stream had it already.',
    read: ({ counters: { delivered, duplicates }, mode }) => [
      [{ mode, result: 'acked' }, delivered - duplicates],
      ...(mode === 'jetstream' ? [[{ mode, result: 'duplicate' }, duplicates] as const] : []),
    ],
  },
  {
    name: 'falco_nats_alerts_rejected_total',
    type: 'counter',
    help: 'Lines that are no alerts, and alerts that NATS does not take, by reason.',
    read: ({ counters }) => byLabel('reason', counters.rejected),
  },
  {
    name: 'falco_nats_alerts_filtered_total',
    type: 'counter',
    help: 'Alerts below --min-priority, by priority.',
    read: ({ counters }) => byPriority(counters.filtered),
  },
  {
    name: 'falco_nats_alerts_dropped_total',
    type: 'counter',
    help: 'Alerts lost here, by reason and, where it is known, priority.',
    read: ({ counters }) => [
      ...byPriority(counters.dropped, { reason: 'buffer_full' }),
      [{ reason: 'spool_damaged', priority: 'unknown' }, counters.unreadable],
    ],
  },
  {
    name: 'falco_nats_alerts_resent_total',
    type: 'counter',
    help: 'Alerts published once more, after a lost connection or a refusal.',
    read: ({ counters }) => counters.resent,
  },
  {
    name: 'falco_nats_connected',
    type: 'gauge',
    help: 'Whether there is a connection to NATS.',
    read: ({ vitals }) => Number(vitals.connected),
  },
  {
    name: 'falco_nats_reconnects_total',
    type: 'counter',
    help: 'Connections to NATS after the first.',
    read: ({ counters }) => Math.max(0, counters.sessions - 1),
  },
  {
    name: 'falco_nats_input_paused',
    type: 'gauge',
    help: 'Whether reading pauses at this moment because nobody takes what was read.',
    read: ({ counters }) => Number(counters.pausedSince !== undefined),
  },
  {
    name: 'falco_nats_input_paused_seconds_total',
    type: 'counter',
    help: 'How long reading has paused because nobody took what was read.',
    read: ({ counters: { pausedMs, pausedSince } }) =>
      (pausedMs + (pausedSince === undefined ? 0 : performance.now() - pausedSince)) / 1000,
  },
  {
    name: 'falco_nats_in_flight_alerts',
    type: 'gauge',
    help: 'Alerts on their way to NATS, not yet confirmed; they are also in the buffer or the spool.',
    read: ({ vitals }) => vitals.inFlightAlerts,
  },
  {
    name: 'falco_nats_buffer_alerts',
    type: 'gauge',
    help: 'Alerts in memory, read and neither confirmed nor in the spool.',
    read: ({ vitals, batcherAlerts }) => vitals.bufferAlerts + batcherAlerts,
  },
  {
    name: 'falco_nats_buffer_bytes',
    type: 'gauge',
    help: 'Bytes of the buffer in use.',
    read: ({ vitals }) => vitals.bufferBytes,
  },
  {
    name: 'falco_nats_buffer_limit_bytes',
    type: 'gauge',
    help: 'Bytes that the buffer may have: --buffer-bytes.',
    read: ({ bufferLimitBytes }) => bufferLimitBytes,
  },
  {
    name: 'falco_nats_spool_alerts',
    type: 'gauge',
    help: 'Alerts on disk, not yet confirmed.',
    read: ({ counters, spoolLimitBytes }) => spoolLimitBytes && counters.spooled,
  },
  {
    name: 'falco_nats_spool_bytes',
    type: 'gauge',
    help: 'Bytes of alerts on disk.',
    read: ({ vitals, spoolLimitBytes }) => spoolLimitBytes && vitals.spoolBytes,
  },
  {
    name: 'falco_nats_spool_limit_bytes',
    type: 'gauge',
    help: 'Bytes that the files of the spool may have: --spool-bytes.',
    read: ({ spoolLimitBytes }) => spoolLimitBytes,
  },
  {
    name: 'falco_nats_spool_errors_total',
    type: 'counter',
    help: 'Failures of the disk under the spool.',
    read: ({ counters, spoolLimitBytes }) => spoolLimitBytes && counters.spoolErrors,
  },
  {
    name: 'falco_nats_log_lines_dropped_total',
    type: 'counter',
    help: 'Lines of the log that standard error did not take.',
    read: () => standardError().dropped(),
  },
  {
    name: 'falco_nats_batch_alerts',
    type: 'histogram',
    help: 'Alerts in a batch that was confirmed.',
    read: ({ counters }) => counters.batchAlerts,
  },
  {
    name: 'falco_nats_ack_seconds',
    type: 'histogram',
    help: 'From the publication of a batch to its confirmation.',
    read: ({ counters }) => counters.ackSeconds,
  },
  {
    name: 'falco_nats_delivery_delay_seconds',
    type: 'histogram',
    help: "From an alert's own time to its confirmation, by this host's clock.",
    read: ({ counters }) => counters.delaySeconds,
  },
  {
    name: 'process_cpu_seconds_total',
    type: 'counter',
    help: 'User and system CPU time since the start.',
    read: () => {
      const { user, system } = process.cpuUsage()
      return (user + system) / 1e6
    },
  },
  {
    name: 'falco_nats_build_info',
    type: 'gauge',
    help: 'Which falco-nats this is, on which Node.js.',
    read: () => [[{ version: pkg.version, node: process.version }, 1]],
  },
  {
    name: 'falco_nats_falco_events_series_folded_total',
    type: 'counter',
    help: 'Series of falco_events folded into others since there were more than --max-series.',
    read: ({ events }) => events?.folded(),
  },
  {
    name: 'falco_events',
    type: 'counter',
    help: 'Alerts of Falco, whether delivered or not, by rule, pod and more.',
    read: ({ events }) => events && eventSamples(events),
  },
]

const byLabel = (label: string, counts: Readonly<Record<string, number>>): Sample[] =>
  Object.entries(counts).map(([name, count]) => [{ [label]: name }, count])

const byPriority = (counts: readonly number[], more: Labels = {}): Sample[] =>
  counts.map((count, index) => [{ ...more, priority: PRIORITIES[index]! }, count])

/** One at a time: there may be many. */
function* eventSamples(events: FalcoEvents): Iterable<Sample> {
  for (const { values, count } of events.series().values())
    yield [Object.fromEntries(EVENT_LABELS.map((label, index) => [label, values[index]!])), count]
}
