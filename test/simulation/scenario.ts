// STUB, replaced at the merge: a scenario of a toy world.

import type { AlertSpec } from './alerts.ts'
import type { Fault } from './fault.ts'
import { FAULTS } from './faults.ts'
import { createRandom } from './random.ts'

export interface Scenario {
  readonly seed: number
  readonly config: { readonly slots: number; readonly spool: boolean }
  readonly alerts: readonly AlertSpec[]
  readonly faults: readonly Fault[]
}

export function scenarioOf(seed: number): Scenario {
  const random = createRandom(seed, 'scenario')
  const times = (count: number) =>
    Array.from({ length: count }, () => random.below(1000)).sort((a, b) => a - b)
  return {
    seed,
    config: { slots: random.between(1, 4), spool: random.onceIn(2) },
    alerts: times(random.between(5, 40)).map((at, index) => ({
      number: index + 1,
      at,
      severity: random.below(8),
      rule: random.below(4),
      length: random.between(150, 600),
    })),
    faults: times(random.below(8)).map((at) => ({
      at,
      kind: random.pick(Object.keys(FAULTS)),
      parameters: { ms: random.between(1, 200) },
    })),
  }
}
