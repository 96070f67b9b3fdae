// webhook: not yet.

import { z } from 'zod'
import type { Step } from '../step.ts'

const params = z.strictObject({})

export const webhook: Step<z.infer<typeof params>> = {
  name: 'webhook',
  params,
  target: 'none',
  repeatable: true,
  rules: () => [],
  run: async () => ({ outcome: 'skipped', detail: 'not yet' }),
}
