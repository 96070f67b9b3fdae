// isolate-pod: not yet.

import { z } from 'zod'
import type { Step } from '../step.ts'

const params = z.strictObject({})

export const isolatePod: Step<z.infer<typeof params>> = {
  name: 'isolate-pod',
  params,
  target: 'pod',
  repeatable: true,
  rules: () => [],
  run: async () => ({ outcome: 'skipped', detail: 'not yet' }),
}
