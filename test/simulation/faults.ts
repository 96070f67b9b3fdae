// All kinds of faults, by name: those of each part of the world, and whether a scenario can have them.

import { DISK_FAULTS } from './disk-faults.ts'
import { FALCO_FAULTS } from './falco-faults.ts'
import type { FaultKind, Parameters } from './fault.ts'
import { LIFE_FAULTS } from './lives.ts'
import type { Random } from './random.ts'
import type { ScenarioConfig } from './scenario.ts'
import { SERVER_FAULTS } from './server/faults.ts'
import { JETSTREAM_FAULTS } from './server/jetstream-faults.ts'
import type { Parts } from './simulate.ts'

interface Row {
  fits(config: ScenarioConfig): boolean
  draw(random: Random): Parameters
  strike(parts: Parts, parameters: Parameters): void
}

const rowsOf = <Part>(
  table: Readonly<Record<string, FaultKind<Part>>>,
  partOf: (parts: Parts) => Part,
  fits: (config: ScenarioConfig) => boolean = () => true,
): Record<string, Row> =>
  Object.fromEntries(
    Object.entries(table).map(([name, { draw, strike }]) => [
      name,
      { fits, draw, strike: (parts, parameters) => strike(partOf(parts), parameters) },
    ]),
  )

export const FAULTS: Readonly<Record<string, Row>> = {
  ...rowsOf(SERVER_FAULTS, ({ server }) => server),
  ...rowsOf(
    JETSTREAM_FAULTS,
    ({ server }) => server,
    ({ jetstream }) => jetstream,
  ),
  ...rowsOf(
    DISK_FAULTS,
    ({ disk }) => disk,
    ({ spoolBytes }) => spoolBytes > 0,
  ),
  ...rowsOf(FALCO_FAULTS, ({ falco }) => falco),
  ...rowsOf(LIFE_FAULTS, ({ lives }) => lives),
}
