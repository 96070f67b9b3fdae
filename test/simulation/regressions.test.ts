import { expect, it } from 'vitest'
import { REGRESSIONS, readKept } from './kept.ts'
import { createRunner } from './runner.ts'

// `npm run simulate -- --seed S --save NAME` adds one.
it('violates nothing in a scenario that once found a bug', async () => {
  await using runner = createRunner()
  for (const { name, scenario } of readKept(REGRESSIONS))
    expect((await runner.play(scenario)).violation, name).toBeUndefined()
})
