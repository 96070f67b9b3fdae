// From a scenario that violates an invariant to a smaller one that violates the same: fewer faults and alerts, then
// earlier and simpler ones.

import type { AlertSpec } from './alerts.ts'
import type { Scenario, Violation } from './entry.ts'
import type { Fault } from './fault.ts'

const RUNS_MAX = 500
/** For runs that hang. */
const MS_MAX = 60_000

/** Runs a scenario: what it violates, if anything. */
export type Try = (scenario: Scenario) => Promise<Violation | undefined>

export interface Shrunk {
  readonly scenario: Scenario
  readonly violation: Violation
}

export async function shrink(
  scenario: Scenario,
  violation: Violation,
  tryOut: Try,
  { runsMax = RUNS_MAX, msMax = MS_MAX } = {},
): Promise<Shrunk> {
  let smallest: Shrunk = { scenario, violation }
  let runs = 0
  let accepted = 0
  const until = performance.now() + msMax
  const mayRun = () => runs < runsMax && performance.now() < until

  /** Whether the scenario with these changes violates the same: then it is the smallest so far. */
  async function accept(changes: Partial<Scenario>): Promise<boolean> {
    if (!mayRun()) return false
    runs++
    const smaller = { ...smallest.scenario, ...changes }
    const found = await tryOut(smaller)
    if (found?.invariant !== violation.invariant) return false
    smallest = { scenario: smaller, violation: found }
    accepted++
    return true
  }

  /** Leaves out halves of a list, then quarters, … then single items. */
  async function leaveOut<Key extends 'alerts' | 'faults'>(key: Key): Promise<void> {
    for (let size = smallest.scenario[key].length; size >= 1; size >>= 1)
      for (let at = 0; at < smallest.scenario[key].length; ) {
        const list = smallest.scenario[key]
        const left = [...list.slice(0, at), ...list.slice(at + size)]
        if (!(await accept({ [key]: left }))) at += size
      }
  }

  /** Makes the proposals one after the other; those for what was accepted, too. */
  async function simplify(proposals: (scenario: Scenario) => Iterable<Partial<Scenario>>) {
    for (let isSimpler = true; isSimpler && mayRun(); ) {
      isSimpler = false
      for (const changes of proposals(smallest.scenario)) {
        isSimpler = await accept(changes)
        if (isSimpler) break
      }
    }
  }

  for (let before = -1; before !== accepted && mayRun(); ) {
    before = accepted
    await leaveOut('faults')
    await leaveOut('alerts')
    await simplify(earlier)
    await simplify(simplerFaults)
    await simplify(simplerAlerts)
    await simplify(simplerConfig)
  }
  return smallest
}

/** Everything in half the time. */
function* earlier({ alerts, faults }: Scenario): Iterable<Partial<Scenario>> {
  const half = <T extends { readonly at: number }>(item: T): T => ({ ...item, at: item.at >> 1 })
  if ([...alerts, ...faults].some(({ at }) => at > 0))
    yield { alerts: alerts.map(half), faults: faults.map(half) }
}

function* simplerFaults({ faults }: Scenario): Iterable<Partial<Scenario>> {
  for (const [index, fault] of faults.entries()) {
    const by = (changes: Partial<Fault>) => ({
      faults: faults.with(index, { ...fault, ...changes }),
    })
    if (fault.at > (faults[index - 1]?.at ?? 0)) yield by({ at: faults[index - 1]?.at ?? 0 })
    for (const [name, value] of Object.entries(fault.parameters)) {
      const simpler = simplerThan(value)
      if (simpler !== undefined) yield by({ parameters: { ...fault.parameters, [name]: simpler } })
    }
  }
}

/** A line of length 0 has no more than it needs. */
const PLAIN = { length: 0, rule: 1, severity: 0 }

function* simplerAlerts({ alerts }: Scenario): Iterable<Partial<Scenario>> {
  for (const [index, alert] of alerts.entries())
    for (const name of Object.keys(PLAIN) as (keyof typeof PLAIN)[])
      if (alert[name] > PLAIN[name])
        yield { alerts: alerts.with(index, { ...alert, [name]: PLAIN[name] } satisfies AlertSpec) }
}

/** Its numbers are sizes that not every smaller number fits. */
function* simplerConfig({ config }: Scenario): Iterable<Partial<Scenario>> {
  for (const [name, value] of Object.entries(config))
    if (value === true) yield { config: { ...config, [name]: false } }
}

const simplerThan = (value: number | string | boolean) =>
  value === true ? false : typeof value === 'number' && value > 1 ? value >> 1 : undefined
