// The text of /metrics, made at the moment it is asked for. Loaded with the first request.

import { collectDefaultMetrics, type Metric, type MetricValue, Registry } from 'prom-client'
import type { Histogram } from './histogram.ts'
import { METRICS, type Measured, type Row } from './metric-table.ts'

/**
 * Of Node's own, not served: what ends in _total and is no counter, and times that begin with the
 * first request; ours begin with the process.
 */
const UNWANTED = [
  'nodejs_active_resources_total',
  'nodejs_active_handles_total',
  'nodejs_active_requests_total',
  'process_cpu_user_seconds_total',
  'process_cpu_system_seconds_total',
  'process_cpu_seconds_total',
]
/** The event loop's delay is sampled this often; each time wakes the process up. */
const LOOP_SAMPLE_MS = 100

/** A function that gives the classic text format. `measure` is called once for each text. */
export function createMetrics(measure: () => Measured): () => Promise<string> {
  const registry = new Registry()
  collectDefaultMetrics({ register: registry, eventLoopMonitoringPrecision: LOOP_SAMPLE_MS })
  for (const name of UNWANTED) registry.removeSingleMetric(name)
  const first = measure()
  const applying = METRICS.filter((row) => row.read(first) !== undefined)
  let samples: Map<Row, MetricValue<string>[]>
  for (const row of applying) {
    const { name, help, type } = row
    // What the registry asks of a metric is only this; its own classes count one event at a time.
    const metric = { name, get: async () => ({ name, help, type, values: samples.get(row) }) }
    registry.registerMetric(metric as unknown as Metric)
  }
  return async () => {
    const measured = measure()
    // All are read before anything else can happen, so that they belong together.
    samples = new Map(applying.map((row) => [row, samplesOf(row.name, row.read(measured)!)]))
    return await registry.metrics()
  }
}

function samplesOf(name: string, value: NonNullable<ReturnType<Row['read']>>) {
  if (typeof value === 'number') return [{ labels: {}, value }]
  if ('bounds' in value) return histogramSamples(name, value)
  return value.map(([labels, value]) => ({ labels, value }))
}

function histogramSamples(name: string, { bounds, counts, sum }: Histogram) {
  let count = 0
  const buckets = counts.map((more, bucket) => {
    count += more
    const le = String(bounds[bucket] ?? '+Inf')
    return { metricName: `${name}_bucket`, labels: { le }, value: count }
  })
  return [
    ...buckets,
    { metricName: `${name}_sum`, labels: {}, value: sum },
    { metricName: `${name}_count`, labels: {}, value: count },
  ]
}
