// The text of /metrics, in Prometheus' classic format, loaded with the first request. metric-names.json has the types,
// names and help of our own metrics; valuesOf has the value of each.

import { collectDefaultMetrics, Registry } from 'prom-client'
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
import { isFresh, type Snapshot, type SnapshotField } from '../accounting/falco-reports.ts'
import type { Vitals } from '../delivery/sink.ts'
import METRICS from './metric-names.json' with { type: 'json' }

/** All that metrics report, at one moment. */
export interface Measured {
  /** By the clock that `counters` have. */
  readonly now: number
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
  readonly snapshots: ReadonlyMap<string, Snapshot>
}

/** Metrics of Node not served: gauges named _total, and times counted from the first request. */
const UNWANTED = /^nodejs_active_\w+_total$|^process_cpu_\w*seconds_total$/
/** How often the event loop's delay is sampled; each time wakes the process. */
const LOOP_SAMPLE_MS = 100

/** The result renders the text; it calls `measure` once each time. */
export function createMetrics(measure: () => Measured): () => Promise<Buffer> {
  const registry = new Registry()
  collectDefaultMetrics({ register: registry, eventLoopMonitoringPrecision: LOOP_SAMPLE_MS })
  for (const { name } of registry.getMetricsAsArray())
    if (UNWANTED.test(name)) registry.removeSingleMetric(name)
  return async () => {
    const text = createText()
    text.add(`${await registry.metrics()}\n`)
    const values = valuesOf(measure())
    for (const [type, rows] of Object.entries(METRICS))
      for (const [name, help] of Object.entries(rows)) {
        const value = values[name as Name]
        if (value === undefined) continue
        text.add(`# HELP ${name} ${help}\n# TYPE ${name} ${type}\n`)
        for (const [suffix, labels, number] of samplesOf(value))
          text.add(`${name}${suffix}${labelText(labels)} ${number}\n`)
        text.add('\n')
      }
    return text.bytes()
  }
}

type Labels = Readonly<Record<string, string>>
type Sample = readonly [labels: Labels, value: number]
/** Undefined: the metric does not apply. */
type Value = number | Iterable<Sample> | Histogram | undefined
type Types = typeof METRICS
type Name = { [Type in keyof Types]: keyof Types[Type] }[keyof Types]

function valuesOf(measured: Measured): Readonly<Record<Name, Value>> {
  const { now, counters, vitals, mode, spoolLimitBytes, events } = measured
  const { user, system } = process.cpuUsage()
  const { delivered, duplicates: duplicate } = counters
  const published = { acked: delivered - duplicate, ...(mode === 'jetstream' && { duplicate }) }
  const ofFalco = (field: SnapshotField) => snapshotSamples(measured, field)
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
    falco_nats_input_paused_seconds_total: (counters.pausedMs + pausedFor(counters, now)) / 1000,
    falco_nats_falco_drops_total: counters.falcoDrops,
    falco_nats_falco_reports_malformed_total: counters.malformedReports,
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
    falco_nats_falco_snapshot_timestamp_seconds: snapshotTimes(measured),
    falco_nats_falco_events_per_second: ofFalco('eventsPerSecond'),
    falco_nats_falco_kernel_drops: ofFalco('kernelDrops'),
    falco_nats_falco_queue_drops: ofFalco('queueDrops'),
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

const snapshotTimes = ({ snapshots }: Measured): Sample[] =>
  [...snapshots].map(([source, { time }]) => [{ source }, time / 1000])

function snapshotSamples({ snapshots, now }: Measured, field: SnapshotField): Sample[] {
  const fresh = [...snapshots].filter(([, snapshot]) => isFresh(snapshot, now))
  return fresh.flatMap(([source, { [field]: value }]) =>
    value === undefined ? [] : [[{ source }, value] satisfies Sample],
  )
}

/** One at a time: there may be many. */
function* eventSamples(events: FalcoEvents): Iterable<Sample> {
  for (const { values, count } of events.series().values())
    yield [Object.fromEntries(EVENT_LABELS.map((label, index) => [label, values[index]!])), count]
}

function* samplesOf(value: NonNullable<Value>): Iterable<[suffix: string, Labels, number]> {
  if (typeof value === 'number') yield ['', {}, value]
  else if (!('bounds' in value)) for (const [labels, number] of value) yield ['', labels, number]
  else {
    let count = 0
    for (const [bucket, more] of value.counts.entries()) {
      count += more
      yield ['_bucket', { le: String(value.bounds[bucket] ?? '+Inf') }, count]
    }
    yield ['_sum', {}, value.sum]
    yield ['_count', {}, count]
  }
}

function labelText(labels: Labels): string {
  const pairs = Object.entries(labels).map(([label, text]) => `${label}="${escaped(text)}"`)
  return pairs.length > 0 ? `{${pairs.join()}}` : ''
}

const ESCAPES: Record<string, string> = { '\\': '\\\\', '\n': '\\n', '"': '\\"' }
const escaped = (value: string) => value.replace(/[\\\n"]/g, (found) => ESCAPES[found]!)

/** Text as bytes: a scrape of 2,000 series as strings survives two collections, and V8 would keep 20 MB for them. */
function createText() {
  let bytes = Buffer.allocUnsafeSlow(64 * 1024)
  let used = 0
  return {
    add(more: string): void {
      const needed = used + 3 * more.length
      if (needed > bytes.length) {
        const grown = Buffer.allocUnsafeSlow(2 * needed)
        bytes.copy(grown, 0, 0, used)
        bytes = grown
      }
      used += bytes.write(more, used)
    },
    bytes: () => bytes.subarray(0, used),
  }
}
