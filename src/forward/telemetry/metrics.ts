// The text of /metrics, in Prometheus' classic format, made when it is asked for. Loaded with the first request.

import { collectDefaultMetrics, Registry } from 'prom-client'
import {
  type Labels,
  METRICS,
  type Measured,
  type Name,
  type Value,
  valuesOf,
} from './metric-table.ts'

/** Metrics of Node not served: gauges named _total, and times counted from the first request. */
const UNWANTED = /^nodejs_active_\w+_total$|^process_cpu_\w*seconds_total$/
/** How often the event loop's delay is sampled; each time wakes the process. */
const LOOP_SAMPLE_MS = 100

/** A function that renders the text. It calls `measure` once each time. */
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
