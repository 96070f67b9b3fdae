import { describe, expect, it } from 'vitest'
import { MUTATIONS, readKept } from './kept.ts'
import { mutated } from './mutate.ts'
import { MUTATION_TABLE } from './mutations.ts'
import { createRunner } from './runner.ts'

const kept = new Map(readKept(MUTATIONS).map((row) => [row.name, row]))
const AGAIN = 'search again: npm run simulate -- --mutations --write --mutation'

describe.concurrent('finds by its scenario', () => {
  it.each(MUTATION_TABLE)('the mutation "$name", and nothing without it', async (mutation) => {
    const again = `${AGAIN} "${mutation.name}"`
    const scenario = kept.get(mutation.name)?.scenario
    expect(scenario, `no seed is known; ${again}`).toBeDefined()
    await using mutant = createRunner(mutated(mutation))
    await using original = createRunner()
    expect((await original.play(scenario!)).violation).toBeUndefined()
    expect((await mutant.play(scenario!)).violation, again).toBeDefined()
  })
})

it('has the scenarios of these mutations only', () => {
  expect(new Set(kept.keys())).toEqual(new Set(MUTATION_TABLE.map(({ name }) => name)))
})
