import { describe, expect, it } from 'vitest'
import { MUTATIONS, readKept } from './kept.ts'
import { mutated } from './mutate.ts'
import { MUTATION_TABLE } from './mutations.ts'
import { createRunner } from './runner.ts'

const kept = new Map(readKept(MUTATIONS).map((row) => [row.name, row]))

it('keeps scenarios that violate nothing without their mutation', async () => {
  await using runner = createRunner()
  for (const { name, scenario } of kept.values())
    expect((await runner.play(scenario)).violation, name).toBeUndefined()
})

describe.concurrent('finds in its scenario', () => {
  it.each(MUTATION_TABLE)('$name: $why', async (mutation) => {
    const again = `search again: npm run simulate -- --mutations --write --mutation ${mutation.name}`
    const scenario = kept.get(mutation.name)?.scenario
    if (!scenario) throw new Error(`no scenario is kept; ${again}`)
    await using runner = createRunner(mutated(mutation))
    expect((await runner.play(scenario)).violation, again).toBeDefined()
  })
})

it('keeps scenarios of these mutations only', () => {
  const names = new Set(MUTATION_TABLE.map(({ name }) => name))
  expect([...kept.keys()].filter((name) => !names.has(name))).toEqual([])
})
