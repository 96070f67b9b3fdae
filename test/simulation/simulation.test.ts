import { expect, it } from 'vitest'
import { explain, explanation, runSeeds } from './campaign.ts'
import { scenarioOf } from './entry.ts'
import { neverMet } from './report.ts'
import { createRunner } from './runner.ts'

const SEEDS = Number(process.env.SIMULATION_SEEDS ?? 5_000)
const FROM = Number(process.env.SIMULATION_FROM ?? 1)
/** So many seeds meet every fault. */
const ENOUGH = 5_000

it(`delivers, or accounts for, every alert of ${SEEDS} scenarios from seed ${FROM}`, async () => {
  const { coverage, found } = await runSeeds({ from: FROM, count: SEEDS, workers: 2 })
  for (const first of found) {
    await using runner = createRunner()
    throw new Error(explanation(await explain(scenarioOf(first.seed), first, runner)).join('\n'))
  }
  if (SEEDS >= ENOUGH) expect(neverMet(coverage)).toEqual([])
})

it('has scenarios that can be kept as JSON', () => {
  for (let seed = 1; seed <= 100; seed++) {
    const scenario = scenarioOf(seed)
    expect(JSON.parse(JSON.stringify(scenario))).toEqual(scenario)
  }
})

it('runs a scenario in the same way whatever ran before it', async () => {
  await using fresh = createRunner()
  await using used = createRunner()
  await used.seeds(FROM, 20)
  for (let seed = FROM; seed < FROM + 5; seed++) {
    const scenario = scenarioOf(seed)
    expect(await used.play(scenario, true)).toEqual(await fresh.play(scenario, true))
  }
})
