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

export const GROUPS = ['server', 'jetstream', 'disk', 'falco', 'life'] as const
export type Group = (typeof GROUPS)[number]

interface Row {
  readonly group: Group
  fits(config: ScenarioConfig): boolean
  draw(random: Random): Parameters
  strike(parts: Parts, parameters: Parameters): void
}

const rowsOf = <Part>(
  group: Group,
  table: Readonly<Record<string, FaultKind<Part>>>,
  partOf: (parts: Parts) => Part,
  fits: (config: ScenarioConfig) => boolean = () => true,
): Record<string, Row> =>
  Object.fromEntries(
    Object.entries(table).map(([name, { draw, strike }]) => [
      name,
      { group, fits, draw, strike: (parts, parameters) => strike(partOf(parts), parameters) },
    ]),
  )

const hasJetStream = ({ jetstream }: ScenarioConfig) => jetstream
const hasSpool = ({ spoolBytes }: ScenarioConfig) => spoolBytes > 0

export const FAULTS: Readonly<Record<string, Row>> = {
  ...rowsOf('server', SERVER_FAULTS, ({ server }) => server),
  ...rowsOf('jetstream', JETSTREAM_FAULTS, ({ server }) => server, hasJetStream),
  ...rowsOf('disk', DISK_FAULTS, ({ disk }) => disk, hasSpool),
  ...rowsOf('falco', FALCO_FAULTS, ({ falco }) => falco),
  ...rowsOf('life', LIFE_FAULTS, ({ lives }) => lives),
}
