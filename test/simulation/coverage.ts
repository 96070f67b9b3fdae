// What the seeds of a run met: a fault that never strikes shows here.

import type { Result, Scenario } from './entry.ts'

/** How many seeds had each. */
type Counts = Record<string, number>

export interface Coverage {
  readonly faults: Counts
  readonly facts: Counts
}

/** `kinds` are those that a fault may have. */
export const noCoverage = (kinds: readonly string[] = []): Coverage => ({
  faults: Object.fromEntries(kinds.map((kind) => [kind, 0])),
  facts: {},
})

export function cover({ faults, facts }: Coverage, scenario: Scenario, result: Result): void {
  for (const kind of new Set(scenario.faults.map(({ kind }) => kind))) add(faults, kind, 1)
  for (const [fact, count] of Object.entries(result.facts)) add(facts, fact, Number(count > 0))
}

export function addCoverage(to: Coverage, from: Coverage): void {
  for (const [kind, seeds] of Object.entries(from.faults)) add(to.faults, kind, seeds)
  for (const [fact, seeds] of Object.entries(from.facts)) add(to.facts, fact, seeds)
}

function add(counts: Counts, name: string, seeds: number): void {
  counts[name] = (counts[name] ?? 0) + seeds
}
