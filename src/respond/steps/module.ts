// module: not yet.

import { z } from 'zod'
import type { Step } from '../step.ts'

const params = z.strictObject({})

export const module: Step<z.infer<typeof params>> = {
  name: 'module',
  params,
  target: 'none',
  repeatable: true,
  rules: () => [],
  run: async () => ({ outcome: 'skipped', detail: 'not yet' }),
}
