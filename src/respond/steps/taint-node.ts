// taint-node: not yet.

import { z } from 'zod'
import type { Step } from '../step.ts'

const params = z.strictObject({})

export const taintNode: Step<z.infer<typeof params>> = {
  name: 'taint-node',
  params,
  target: 'node',
  repeatable: true,
  rules: () => [],
  run: async () => ({ outcome: 'skipped', detail: 'not yet' }),
}
