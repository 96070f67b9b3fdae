import { expect, it } from 'vitest'
import { scenarioOf, seedThat, WAYS } from '../support/toy-simulation.ts'
import { runSeeds } from './campaign.ts'
import type { Scenario } from './entry.ts'
import { neverMet } from './report.ts'
import { createRunner } from './runner.ts'

const TOY = { entry: new URL('../support/toy-simulation.ts', import.meta.url), hangMs: 1_000 }
const INVARIANTS: Record<string, string | undefined> = {
  well: undefined,
  violates: 'a rule',
  throws: 'crash',
  'rejects unhandled': 'crash',
  'throws in a microtask': 'crash',
  'never ends': 'hang',
  'loops for ever': 'hang',
  'ends the thread': 'crash',
}

it.each(Object.keys(WAYS))('attributes it to the seed that runs when one %s', async (way) => {
  await using runner = createRunner(TOY)
  const seed = seedThat(way)
  const { ran, found } = await runner.seeds(seed - 5, 10)
  expect(found?.violation.invariant).toBe(INVARIANTS[way])
  if (INVARIANTS[way]) expect({ ran, seed: found?.seed }).toEqual({ ran: 6, seed })
  // It goes on, with another thread where that one is gone.
  expect(await runner.seeds(seed + 1, 5)).toMatchObject({ ran: 5 })
  const { violation } = await runner.play(scenarioOf(seed) as unknown as Scenario)
  expect(violation?.invariant).toBe(INVARIANTS[way])
})

it('rejects where the simulator cannot be loaded', async () => {
  await using runner = createRunner({ entry: new URL('missing.ts', import.meta.url) })
  await expect(runner.seeds(0, 1)).rejects.toThrow('missing.ts')
})

it('runs all seeds on several threads, and sums up what they met', async () => {
  const { seeds, coverage, found } = await runSeeds({
    ...TOY,
    from: 0,
    count: 250,
    workers: 2,
    goesOn: true,
  })
  expect(seeds).toBe(250)
  const failing = Object.keys(WAYS).filter((way) => INVARIANTS[way])
  expect(found.map(({ seed }) => seed)).toEqual(failing.map(seedThat))
  expect(neverMet(coverage)).toEqual(['none', 'never'])
  // But for those of a chunk whose thread was lost.
  expect(coverage.faults.odd).toBeGreaterThan(100)
})

it('stops at the first violation', async () => {
  const { seeds, found } = await runSeeds({ ...TOY, from: 1, count: 1_000_000, workers: 2 })
  expect(found[0]).toMatchObject({ seed: seedThat('violates') })
  expect(seeds).toBeLessThan(100_000)
})
