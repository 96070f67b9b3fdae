// cordon-node: not yet.

import { z } from 'zod'
import type { Step } from '../step.ts'

const params = z.strictObject({})

export const cordonNode: Step<z.infer<typeof params>> = {
  name: 'cordon-node',
  params,
  target: 'node',
  repeatable: true,
  rules: () => [],
  run: async () => ({ outcome: 'skipped', detail: 'not yet' }),
}
