// The text of /metrics, in Prometheus' classic format, made when it is asked for. Loaded with the first request.

import { collectDefaultMetrics, Registry } from 'prom-client'
import type { Histogram } from '../accounting/histogram.ts'
import { type Labels, METRICS, type Measured, type Row, type Sample } from './metric-table.ts'

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

/** A function that gives the text. `measure` is called once for each. */
export function createMetrics(measure: () => Measured): () => Promise<Buffer> {
  const registry = new Registry()
  collectDefaultMetrics({ register: registry, eventLoopMonitoringPrecision: LOOP_SAMPLE_MS })
  for (const name of UNWANTED) registry.removeSingleMetric(name)
  return async () => {
    const text = createText()
    text.add(`${await registry.metrics()}\n`)
    const measured = measure()
    // All are read before anything else can happen, so that they belong together.
    for (const row of METRICS) {
      const value = row.read(measured)
      if (value !== undefined) addRow(text, row, value)
    }
    return text.bytes()
  }
}

function addRow(
  text: Text,
  { name, help, type }: Row,
  value: NonNullable<ReturnType<Row['read']>>,
) {
  text.add(`# HELP ${name} ${help}\n# TYPE ${name} ${type}\n`)
  if (typeof value === 'number') addSample(text, name, {}, value)
  else if ('bounds' in value) addHistogram(text, name, value)
  else for (const [labels, count] of value) addSample(text, name, labels, count)
  text.add('\n')
}

function addHistogram(text: Text, name: string, { bounds, counts, sum }: Histogram): void {
  let count = 0
  counts.forEach((more, bucket) => {
    count += more
    addSample(text, `${name}_bucket`, { le: String(bounds[bucket] ?? '+Inf') }, count)
  })
  addSample(text, `${name}_sum`, {}, sum)
  addSample(text, `${name}_count`, {}, count)
}

function addSample(text: Text, name: string, labels: Labels, value: Sample[1]): void {
  const pairs = Object.entries(labels).map(([label, of]) => `${label}="${escaped(of)}"`)
  text.add(`${name}${pairs.length > 0 ? `{${pairs.join()}}` : ''} ${value}\n`)
}

const ESCAPES: Record<string, string> = { '\\': '\\\\', '\n': '\\n', '"': '\\"' }
const escaped = (value: string) => value.replace(/[\\\n"]/g, (found) => ESCAPES[found]!)

type Text = ReturnType<typeof createText>

/**
 * Text that is put together as bytes: a scrape of 2,000 series as strings lives through two collections, for
 * which V8 would keep 20 MB.
 */
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
