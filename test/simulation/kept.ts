// Scenarios that stay in the repository: those that once found a bug, and those that find a mutation. A line of JSON each.
// A seed draws another scenario whenever the simulator draws anything else; a scenario stays what it is.

import { readFileSync, writeFileSync } from 'node:fs'
import type { Scenario } from './entry.ts'

export interface Kept {
  /** Of the bug in a few words, or of the mutation. */
  readonly name: string
  /** That was shrunk to the scenario. */
  readonly seed: number
  readonly invariant: string
  readonly scenario: Scenario
}

export const REGRESSIONS = new URL('regressions.jsonl', import.meta.url)
export const MUTATIONS = new URL('mutations.jsonl', import.meta.url)

export const readKept = (file: URL): Kept[] =>
  readFileSync(file, 'utf8')
    .split('\n')
    .filter(Boolean)
    .map((line) => JSON.parse(line))

/** In the place of those of the same name, or behind the others. */
export function keep(file: URL, row: Kept): void {
  const rows = [...readKept(file).filter(({ name }) => name !== row.name), row]
  writeFileSync(file, rows.map((each) => `${JSON.stringify(each)}\n`).join(''))
}
