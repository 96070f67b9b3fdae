// slack: not yet.

import { z } from 'zod'
import type { Step } from '../step.ts'

const params = z.strictObject({})

export const slack: Step<z.infer<typeof params>> = {
  name: 'slack',
  params,
  target: 'none',
  repeatable: true,
  rules: () => [],
  run: async () => ({ outcome: 'skipped', detail: 'not yet' }),
}
