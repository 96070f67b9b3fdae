// run-job: not yet.

import { z } from 'zod'
import type { Step } from '../step.ts'

const params = z.strictObject({})

export const runJob: Step<z.infer<typeof params>> = {
  name: 'run-job',
  params,
  target: 'node',
  repeatable: true,
  rules: () => [],
  run: async () => ({ outcome: 'skipped', detail: 'not yet' }),
}
