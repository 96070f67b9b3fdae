// Many seeds, on several worker threads; and what is to be known of one that violates something.

import { addCoverage, type Coverage, noCoverage } from './coverage.ts'
import type { Scenario } from './entry.ts'
import { scenarioLines, screenOf, violationLine } from './report.ts'
import { createRunner, type Found, type Runner, type RunnerOptions } from './runner.ts'
import { shrink } from './shrink.ts'

/** Takes a thread less than a second. */
const CHUNK = 100

export interface Campaign {
  readonly seeds: number
  readonly ms: number
  readonly coverage: Coverage
  /** By seed. */
  readonly found: readonly Found[]
}

export async function runSeeds({
  from,
  count,
  workers,
  goesOn = false,
  onProgress,
  ...options
}: RunnerOptions & {
  readonly from: number
  readonly count: number
  readonly workers: number
  /** Whether it runs all seeds although one violates something. */
  readonly goesOn?: boolean
  readonly onProgress?: (seeds: number, found: number) => void
}): Promise<Campaign> {
  const startedAt = performance.now()
  const coverage = noCoverage()
  const found: Found[] = []
  const end = from + count
  let next = from
  let seeds = 0

  async function work(): Promise<void> {
    await using runner = createRunner(options)
    while (next < end && (goesOn || found.length === 0)) {
      const first = next
      next = Math.min(first + CHUNK, end)
      for (let seed = first, last = next; seed < last; ) {
        const chunk = await runner.seeds(seed, last - seed)
        seed += chunk.ran
        seeds += chunk.ran
        addCoverage(coverage, chunk.coverage)
        if (chunk.found) found.push(chunk.found)
        onProgress?.(seeds, found.length)
        if (chunk.found && !goesOn) break
      }
    }
  }

  await Promise.all(Array.from({ length: workers }, work))
  found.sort((a, b) => a.seed - b.seed)
  return { seeds, ms: performance.now() - startedAt, coverage, found }
}

/** Shrinks the scenario, and runs what is left with a trace. */
export async function explain(scenario: Scenario, { violation }: Found, runner: Runner) {
  const shrunk = await shrink(scenario, violation, async (smaller) => {
    return (await runner.play(smaller)).violation
  })
  const { trace } = await runner.play(shrunk.scenario, true)
  return { ...shrunk, trace }
}

/** A screen about it. */
export const explanation = (
  { scenario, violation, trace }: Awaited<ReturnType<typeof explain>>,
  isWhole = false,
): string[] => [
  violationLine(scenario.seed, violation),
  'shrunk to',
  ...scenarioLines(scenario),
  ...(isWhole ? trace : screenOf(trace)),
]
