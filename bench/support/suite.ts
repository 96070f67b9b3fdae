// What all scenarios share: who takes part, how often, how much, and turns that alternate.

import { messageOf } from '../../src/shared/errors.ts'
import { tempDir } from '../../test/support/temp.ts'
import { type AlertShape, writeAlerts } from './alerts.ts'
import { type Contender, FLOOR, ours } from './contender.ts'
import { medians, print, type Row } from './table.ts'

export interface Suite {
  readonly quick: boolean
  readonly long: boolean
  readonly runs: number
  /** A tenth of them, when it should be quick. */
  alerts(count: number): number
  /** We first, then the floor, then those peers that take part. */
  contenders(scenario: string): Contender[]
  /** Peers that name the scenario, where not everybody can take part. */
  peersOf(scenario: string): Contender[]
  /** A file of such alerts, made once. */
  file(shape?: AlertShape): { path: string; meanBytes: number }
  /** Gives each its turn, `runs` times, and prints the medians, with `others` that have been measured. */
  compare<T extends { readonly name: string }>(
    title: string,
    all: readonly T[],
    measure: (one: T) => Promise<Row>,
    options?: { others?: ReadonlyMap<string, Row>; ratios?: boolean },
  ): Promise<void>
  /** How many trials lost or changed alerts, or came to no end. */
  failures(): number
}

export interface SuiteOptions {
  readonly quick: boolean
  readonly long: boolean
  readonly runs: number
  readonly peers: readonly Contender[]
}

export function createSuite({ quick, long, runs, peers }: SuiteOptions): Suite {
  const dir = tempDir()
  process.on('exit', () => dir[Symbol.dispose]())
  const files = new Map<string, { path: string; meanBytes: number }>()
  let failures = 0
  return {
    quick,
    long,
    runs,
    alerts: (count) => (quick ? Math.ceil(count / 10) : count),
    contenders: (scenario) => [
      ours(),
      FLOOR,
      ...peers.filter(({ scenarios }) => scenarios?.includes(scenario) ?? true),
    ],
    peersOf: (scenario) => peers.filter(({ scenarios }) => scenarios?.includes(scenario)),
    file(shape = {}) {
      const key = JSON.stringify(shape)
      let file = files.get(key)
      if (!file) {
        const path = dir.file(`alerts-${files.size}`)
        file = { path, meanBytes: Math.round(writeAlerts(path, shape)) }
        files.set(key, file)
      }
      return file
    },
    async compare(title, all, measure, { others = new Map(), ratios = true } = {}) {
      const rows = new Map(all.map(({ name }) => [name, [] as Row[]]))
      for (let turn = 0; turn < runs; turn++)
        for (const one of all)
          try {
            rows.get(one.name)!.push(await measure(one))
          } catch (error) {
            failures++
            console.error(`FAILED: ${title}, ${one.name}: ${messageOf(error)}`)
          }
      const measured = [...rows].filter(([, figures]) => figures.length > 0)
      const table = measured.map(([name, figures]) => [name, medians(figures)] as const)
      print(title, new Map([...table, ...others]), ratios)
    },
    failures: () => failures,
  }
}
