// A playbook as it is run: what the file gives, checked, with defaults.

import type { Step } from '../steps/step.ts'

export interface Playbook {
  /** `[a-z0-9-]{1,48}`, unique. */
  readonly name: string
  /** Subjects with wildcards. */
  readonly on: readonly string[]
  readonly match: Match
  readonly steps: readonly PlannedStep[]
  /** Alerts at a time. */
  readonly concurrency: number
  readonly maxDeliver: number
  /** Ms during which the same target is left alone after this playbook has acted on it. 0: none. */
  readonly coolDownMs: number
}

export interface PlannedStep<Params = unknown> {
  readonly step: Step<Params>
  readonly params: Params
  readonly timeoutMs: number
  readonly continueOnError: boolean
}

/** What an alert must have. All that are given must hold; of a list, any. */
export interface Match {
  readonly source?: readonly string[] | undefined
  readonly rule?: readonly string[] | undefined
  /** The least severe that passes, as an index into PRIORITIES. */
  readonly minPriority?: number
  /** At least one of them. */
  readonly tags?: readonly string[] | undefined
  /** By name of the output field. A field that is null or missing is in no list, and passes `not`. */
  readonly outputFields?: Readonly<Record<string, FieldMatch>>
}

export interface FieldMatch {
  readonly in?: readonly string[] | undefined
  readonly not?: readonly string[] | undefined
}

/** The whole file. */
export interface Plan {
  readonly dryRun: boolean
  /** Actions in a minute, of all playbooks and replicas together; more wait. */
  readonly maxActionsPerMinute: number
  readonly protectedNamespaces: readonly string[]
  readonly playbooks: readonly Playbook[]
}
