// A steady rate: what it costs, and how long an alert takes.

import type { Suite } from '../support/suite.ts'
import { type Trial, trial } from '../support/trial.ts'
import { restOfBareNode } from './idle.ts'

const SECONDS = 20

export async function steady(suite: Suite, rate: number): Promise<void> {
  const seconds = suite.quick ? 5 : SECONDS
  const { path } = suite.file()
  await suite.compare(
    `steady: ${rate} alerts/s for ${seconds} s`,
    suite.contenders('steady'),
    async (contender) => steadyRow(await trial(contender, path, rate * seconds, `rate:${rate}`)),
    { others: await restOfBareNode() },
  )
}

export const steadyRow = ({ cpuSeconds, seconds, rss, anon, latencies }: Trial) => ({
  'CPU %': (cpuSeconds / seconds) * 100,
  'RSS MiB': rss,
  'anon MiB': anon,
  'p50 µs': latencies[0],
  'p90 µs': latencies[1],
  'p99 µs': latencies[2],
  'max µs': latencies[3],
})
