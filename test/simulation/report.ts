// What a run of seeds prints.

import type { AlertSpec } from './alerts.ts'
import type { Coverage } from './coverage.ts'
import type { Scenario, Violation } from './entry.ts'
import type { Fault } from './fault.ts'

/** A screen: its first lines and its last. */
const [HEAD, TAIL] = [12, 28]
const WIDTH = 160
const LISTED_MAX = 12
const [COLUMNS, CELL_WIDTH] = [3, 36]

export function summaryOf(seeds: number, from: number, ms: number, violations: number): string {
  const rate = Math.round((seeds / ms) * 1000)
  const range = seeds === 1 ? `seed ${from}` : `${seeds} seeds from ${from}`
  return `${range} in ${(ms / 1000).toFixed(1)} s, ${rate} a second: ${violations} violations`
}

/** The rarest first. A fact with the name of a kind says that it struck, in as many seeds. */
export function coverageLines({ faults, facts }: Coverage, seeds: number): string[] {
  const cell = ([name, count]: [string, number]) =>
    `${((100 * count) / seeds).toFixed(1).padStart(5)} %  ${name}`.padEnd(CELL_WIDTH)
  const table = (counts: [string, number][]) => {
    const cells = counts.sort(([, a], [, b]) => a - b).map(cell)
    const lines = Math.ceil(cells.length / COLUMNS)
    return Array.from({ length: lines }, (_, line) =>
      cells
        .filter((_, index) => index % lines === line)
        .join('')
        .trimEnd(),
    )
  }
  const others = Object.entries(facts).filter(([name]) => !(name in faults))
  return [
    'seeds with a fault of the kind',
    ...table(Object.entries(faults)),
    'seeds in which',
    ...table(others),
  ]
}

/** The facts, and kinds of faults, that no seed had. */
export const neverMet = ({ faults, facts }: Coverage): string[] =>
  Object.entries({ ...faults, ...facts })
    .filter(([, seeds]) => seeds === 0)
    .map(([name]) => name)

export function scenarioLines({ config, alerts, faults }: Scenario): string[] {
  return [
    `config  ${listed(config)}`,
    ...cut(alerts.map(alertLine), LISTED_MAX, 0).map((line) => `alert   ${line}`),
    ...cut(faults.map(faultLine), LISTED_MAX, 0).map((line) => `fault   ${line}`),
  ]
}

const alertLine = ({ number, at, ...rest }: AlertSpec) => `${number} at ${at} ms, ${listed(rest)}`
const faultLine = ({ at, kind, parameters }: Fault) => `${kind} at ${at} ms, ${listed(parameters)}`
const listed = (values: object) =>
  Object.entries(values)
    .map(([name, value]) => `${name} ${value}`)
    .join(', ')

export const violationLine = (seed: number, { invariant, detail, at }: Violation): string =>
  `seed ${seed} violates "${invariant}" at ${at} ms: ${detail}`

/** The first and the last lines of a trace. */
export const screenOf = (trace: readonly string[]): string[] =>
  cut(trace, HEAD, TAIL).map((line) => (line.length > WIDTH ? `${line.slice(0, WIDTH)} …` : line))

function cut(lines: readonly string[], head: number, tail: number): string[] {
  if (lines.length <= head + tail) return [...lines]
  const left = `… ${lines.length - head - tail} more …`
  return [...lines.slice(0, head), left, ...(tail > 0 ? lines.slice(-tail) : [])]
}
