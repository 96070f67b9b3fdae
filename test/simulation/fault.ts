// What can go wrong in a part of the world: one row for each kind of fault.

import type { Random } from './random.ts'

/** The numbers that tell one fault of a kind from another, as they are printed and kept in a scenario. */
export type Parameters = Readonly<Record<string, number | string | boolean>>

export interface FaultKind<Part> {
  /** Draws the numbers of one fault. */
  readonly draw: (random: Random) => Parameters
  /** Lets it happen now; what lasts ends by itself, or when the part is healed. */
  readonly strike: (part: Part, parameters: Parameters) => void
}

export type FaultTable<Part> = Readonly<Record<string, FaultKind<Part>>>

/** One fault of a scenario, at `at` ms of virtual time. */
export interface Fault {
  readonly at: number
  readonly kind: string
  readonly parameters: Parameters
}
