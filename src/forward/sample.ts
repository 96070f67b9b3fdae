// `falco-nats sample`: alerts as Falco 0.44 writes them without time_format_iso_8601: keys in byte order, times in
// nanoseconds, in `output` the local time of day.

import { hostname } from 'node:os'
import { setImmediate as afterPoll, setTimeout as delay } from 'node:timers/promises'
import type { ValuesOf } from '../shared/options/table.ts'
import type { Output } from '../shared/process/output.ts'
import type { SAMPLE_OPTIONS } from './options.ts'
import SAMPLES from './sample-alerts.json' with { type: 'json' }

type SampleOptions = ValuesOf<typeof SAMPLE_OPTIONS>

/** At full speed, signals are heard after so many alerts. */
const ALERTS_A_TURN = 100

/** Writes alerts until there are `count`, or until the reader goes away. Returns the exit code. */
export async function writeSamples(output: Output, { count, rate }: SampleOptions): Promise<0> {
  const startedAt = performance.now()
  for (let index = 0; count === 0 || index < count; index++) {
    const early = rate > 0 ? startedAt + (index * 1000) / rate - performance.now() : 0
    if (early > 0) await delay(early)
    else if (index % ALERTS_A_TURN === 0) await afterPoll()
    const line = `${sampleAlert(index, new Date())}\n`
    if (!output.write(line) && (await output.written()) !== undefined) break
  }
  return 0
}

/** Alert number `index` as a line without its newline. The same index gives the same kind. */
export function sampleAlert(index: number, time: Date): string {
  const { output, ...sample } = SAMPLES[index % SAMPLES.length]!
  const nanoseconds = String(index % 1_000_000).padStart(6, '0')
  const iso = time.toISOString().slice(0, -1) + nanoseconds
  const local = new Date(time.getTime() - time.getTimezoneOffset() * 60_000)
  const timeOfDay = local.toISOString().slice('2026-01-01T'.length, -1) + nanoseconds
  const alert = {
    hostname: hostname(),
    output: `${timeOfDay}: ${sample.priority} ${output}`,
    ...sample,
    time: `${iso}Z`,
  }
  // Beyond 2^53 a number cannot hold it: Falco's evt.time is in nanoseconds.
  return JSON.stringify(alert).replace('"evt.time":0', `"evt.time":${time.getTime()}${nanoseconds}`)
}
