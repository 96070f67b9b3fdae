// capture-logs: not yet.

import { z } from 'zod'
import type { Step } from '../step.ts'

const params = z.strictObject({})

export const captureLogs: Step<z.infer<typeof params>> = {
  name: 'capture-logs',
  params,
  target: 'pod',
  repeatable: true,
  rules: () => [],
  run: async () => ({ outcome: 'skipped', detail: 'not yet' }),
}
