// Searches for each mutation the first seed that finds it.

import { explain } from './campaign.ts'
import { type Scenario, scenarioOf } from './entry.ts'
import type { Kept } from './kept.ts'
import { type Mutation, mutated } from './mutate.ts'
import { createRunner, type Runner } from './runner.ts'

const CHUNK = 200

/** The first seed whose scenario violates something with the mutation, and nothing without it. */
export async function search(mutation: Mutation, seedsMax: number): Promise<Kept | undefined> {
  await using mutant = createRunner(mutated(mutation))
  await using original = createRunner()
  for (let seed = 1; seed <= seedsMax; ) {
    const { ran, found } = await mutant.seeds(seed, Math.min(CHUNK, seedsMax + 1 - seed))
    seed += ran
    if (!found || !(await passes(original, scenarioOf(found.seed)))) continue
    const { scenario, violation } = await explain(scenarioOf(found.seed), found, {
      ...mutant,
      // A smaller scenario has to pass without the mutation, too.
      async play(scenario, trace) {
        const result = await mutant.play(scenario, trace)
        const isOurs = result.violation === undefined || (await passes(original, scenario))
        return isOurs ? result : { ...result, violation: undefined }
      },
    })
    return { name: mutation.name, seed: found.seed, invariant: violation.invariant, scenario }
  }
  return undefined
}

export const passes = async (runner: Runner, scenario: Scenario): Promise<boolean> =>
  (await runner.play(scenario)).violation === undefined

/** Calls `step` for each item, for `lanes` of them at a time. */
export async function inLanes<T>(
  items: readonly T[],
  lanes: number,
  step: (item: T) => Promise<void>,
): Promise<void> {
  const queue = items.values()
  await Promise.all(
    Array.from({ length: lanes }, async () => {
      for (const item of queue) await step(item)
    }),
  )
}
