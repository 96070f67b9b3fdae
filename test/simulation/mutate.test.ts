import { expect, it } from 'vitest'
import { mutated } from './mutate.ts'
import { MUTATION_TABLE } from './mutations.ts'

it.each(MUTATION_TABLE)('finds the text of the mutation "$name" exactly once', (mutation) => {
  expect(mutated(mutation).mutated?.text).toContain(mutation.replace)
})

it('has a name for each mutation', () => {
  const names = MUTATION_TABLE.map(({ name }) => name)
  expect(names).toEqual([...new Set(names)])
})
