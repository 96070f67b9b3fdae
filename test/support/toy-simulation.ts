// A simulator whose seeds go wrong in each way that one can, as test/simulation/entry.ts.

import type { Result } from '../simulation/simulate.ts'

const RESULT: Result = { violation: undefined, trace: [], facts: { ran: 1, never: 0 } }
const later = () => new Promise((resolve) => process.nextTick(resolve))

export const WAYS: Record<string, () => Promise<Result> | Result> = {
  well: () => RESULT,
  async violates() {
    await later()
    return { ...RESULT, violation: { invariant: 'a rule', detail: 'broken', at: 5 } }
  },
  throws() {
    throw new Error('a bug of the simulator')
  },
  'rejects unhandled': async () => {
    void Promise.reject(new Error('nothing handles this'))
    await later()
    return RESULT
  },
  'throws in a microtask': async () => {
    queueMicrotask(() => {
      throw new Error('nothing catches this')
    })
    await later()
    return RESULT
  },
  'never ends': () => new Promise(() => {}),
  'loops for ever': () => {
    for (;;);
  },
  'ends the thread': () => process.exit(1),
}

const NAMES = Object.keys(WAYS)

/** Ten seeds that are well for each that is not. */
export const seedThat = (way: string) => 10 * NAMES.indexOf(way)

export const FAULTS = { odd: {}, even: {}, none: {} }

export const scenarioOf = (seed: number) => ({
  seed,
  config: {},
  alerts: [],
  faults: [{ at: 0, kind: seed % 2 ? 'odd' : 'even', parameters: {} }],
})

export const simulate = async ({ seed }: { readonly seed: number }): Promise<Result> =>
  WAYS[(seed % 10 === 0 && NAMES[seed / 10]) || 'well']!()
