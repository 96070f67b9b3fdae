// One step of a script.

import type { AlertSpec } from '../alerts.ts'
import type { Player } from './player.ts'
import type { ScriptConfig } from './script.ts'

export interface Step<Name = string> {
  readonly kind: Name
  readonly alerts: readonly AlertSpec[]
  /** What tells one step of a kind from another: parts of a whole. */
  readonly parts: readonly number[]
}

/** A kind of steps. */
export interface StepKind {
  readonly fits: (config: ScriptConfig) => boolean
  /** How often it is drawn. */
  readonly weight: number
  /** It may have alerts that are refused or filtered. */
  readonly mixed?: true
  /** How often an alert is sent again is chance: it depends on when the server is asked once more. */
  readonly retries?: true
  readonly play: (player: Player, step: Step) => Promise<void>
}

export type StepKinds = Readonly<Record<string, StepKind>>
