// Whether an alert costs the same however many came before it, and however many rules there are.

import { setTimeout as delay } from 'node:timers/promises'
import { ours, run } from '../support/contender.ts'
import type { Suite } from '../support/suite.ts'
import { print, type Row } from '../support/table.ts'
import { type Bench, SETTLE_MS, startBench } from '../support/trial.ts'

const RULES = [1, 30, 1_000, 10_000]
const [WARM_UP, MEASURED] = [100_000, 300_000]

export async function growthByRules(suite: Suite): Promise<void> {
  await suite.compare(
    `growth: ${MEASURED} alerts after ${WARM_UP}, by rules`,
    RULES.map((rules) => ({ name: `${rules} rules`, rules })),
    async ({ rules }) => {
      const { path } = suite.file({ rules, pods: 1 })
      await using bench = await startBench()
      return (await stretches(bench, path, [WARM_UP, MEASURED]))[1]!
    },
  )
}

/** One process, from decade to decade. */
export async function growthByAlerts(suite: Suite): Promise<void> {
  const ends = [1e4, 1e5, 1e6, ...(suite.long ? [1e7] : [])]
  await using bench = await startBench()
  const lengths = ends.map((end, index) => end - (ends[index - 1] ?? 0))
  const rows = await stretches(bench, suite.file().path, lengths)
  const named = rows.map(
    (row, index) => [`alert ${(ends[index - 1] ?? 0) + 1} to ${ends[index]}`, row] as const,
  )
  print('growth: one process (the first row includes its warming up)', new Map(named), false)
}

async function stretches(bench: Bench, file: string, lengths: number[]): Promise<Row[]> {
  await using running = await run(ours(), bench.pipe, bench.url)
  await Promise.race([delay(SETTLE_MS), running.died])
  const rows: Row[] = []
  for (const length of lengths) {
    const { cpuSeconds, peakRss, anon } = await bench.move(running, file, length)
    rows.push({
      'CPU µs/alert': (cpuSeconds / length) * 1e6,
      'peak RSS MiB': peakRss,
      'anon MiB': anon,
    })
  }
  return rows
}
