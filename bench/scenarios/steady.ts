// A steady rate: what it costs, and how long an alert takes.

import type { Suite } from '../support/suite.ts'
import { type Trial, trial } from '../support/trial.ts'
import { restOfBareNode } from './idle.ts'

const SECONDS = 20
const TITLES = { rate: 'steady', reopen: 'steady, a stream for each' }

export async function steady(
  suite: Suite,
  rate: number,
  mode: 'rate' | 'reopen' = 'rate',
): Promise<void> {
  const seconds = suite.quick ? 5 : SECONDS
  const { path } = suite.file()
  await suite.compare(
    `${TITLES[mode]}: ${rate} alerts/s for ${seconds} s`,
    suite.contenders(mode === 'rate' ? 'steady' : 'reopen'),
    async (contender) => steadyRow(await trial(contender, path, rate * seconds, `${mode}:${rate}`)),
    { others: await restOfBareNode() },
  )
}

export const steadyRow = ({ alerts, cpuSeconds, seconds, rss, anon, latencies }: Trial) => ({
  'CPU %': (cpuSeconds / seconds) * 100,
  'CPU µs/alert': (cpuSeconds / alerts) * 1e6,
  'RSS MiB': rss,
  'anon MiB': anon,
  'p50 µs': latencies[0],
  'p90 µs': latencies[1],
  'p99 µs': latencies[2],
  'max µs': latencies[3],
})
