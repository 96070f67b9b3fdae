import { expect, it } from 'vitest'
import type { Scenario } from './entry.ts'
import { shrink, type Try } from './shrink.ts'

const alert = (number: number) => ({ number, at: 100 * number, severity: 3, rule: 2, length: 300 })
const fault = (index: number) => ({
  at: 150 * index,
  kind: index === 7 ? 'kill' : 'drop',
  parameters: { steps: 12, torn: true },
})
const scenario = {
  seed: 1,
  config: { jetstream: true, batchBytes: 1024 },
  alerts: Array.from({ length: 40 }, (_, index) => alert(index + 1)),
  faults: Array.from({ length: 9 }, (_, index) => fault(index + 1)),
} as unknown as Scenario
const VIOLATION = { invariant: 'nothing is lost', detail: '', at: 0 }

/** Counts the runs, and violates where `isBad`. */
function bad(isBad: (scenario: Scenario) => boolean, invariant = VIOLATION.invariant) {
  const tried: Scenario[] = []
  const tryOut: Try = async (scenario) => {
    tried.push(scenario)
    return isBad(scenario) ? { ...VIOLATION, invariant, at: tried.length } : undefined
  }
  return { tried, tryOut }
}

const has = ({ alerts }: Scenario, number: number) =>
  alerts.some((alert) => alert.number === number)

it('leaves the alerts and faults that it takes, in their order', async () => {
  const { tryOut, tried } = bad(
    (smaller) =>
      has(smaller, 13) && has(smaller, 31) && smaller.faults.some(({ kind }) => kind === 'kill'),
  )
  const shrunk = await shrink(scenario, VIOLATION, tryOut)
  expect(shrunk.scenario.alerts.map(({ number }) => number)).toEqual([13, 31])
  expect(shrunk.scenario.faults.map(({ kind }) => kind)).toEqual(['kill'])
  expect(tried.length).toBeLessThan(150)
})

it('makes what is left earlier and simpler', async () => {
  const { tryOut } = bad(
    (smaller) => has(smaller, 13) && Number(smaller.faults[0]?.parameters.steps) > 4,
  )
  const shrunk = await shrink(scenario, VIOLATION, tryOut)
  expect(shrunk.scenario).toEqual({
    seed: 1,
    config: { jetstream: false, batchBytes: 1024 },
    alerts: [{ number: 13, at: 0, severity: 0, rule: 1, length: 0 }],
    faults: [{ at: 0, kind: expect.any(String), parameters: { steps: 6, torn: false } }],
  })
})

it('keeps alerts and faults in the order of their times', async () => {
  const { tried, tryOut } = bad(({ alerts }) => alerts.length > 4)
  await shrink(scenario, VIOLATION, tryOut)
  const isSorted = (list: readonly { readonly at: number }[]) =>
    list.every(({ at }, index) => index === 0 || at >= list[index - 1]!.at)
  expect(tried.every(({ alerts, faults }) => isSorted(alerts) && isSorted(faults))).toBe(true)
})

it('takes no other violation for it', async () => {
  const { tryOut } = bad(() => true, 'another')
  expect(await shrink(scenario, VIOLATION, tryOut)).toEqual({ scenario, violation: VIOLATION })
})

it('ends after so many runs, with the violation of the smallest so far', async () => {
  const { tried, tryOut } = bad((smaller) => has(smaller, 13))
  const shrunk = await shrink(scenario, VIOLATION, tryOut, { runsMax: 10 })
  expect(tried.length).toBe(10)
  expect(shrunk.scenario.alerts.length).toBeLessThan(40)
  expect(tried[shrunk.violation.at - 1]).toBe(shrunk.scenario)
})
