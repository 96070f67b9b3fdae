// A playbook at work on one alert: what came, what it works with, and what became of it.

import type { Logger } from '../../shared/log.ts'
import type { Cluster } from '../kubernetes/cluster.ts'
import type { NodeTarget, PodTarget } from '../kubernetes/target.ts'
import type { Plan, PlannedStep, Playbook } from '../playbook/playbook.ts'
import type { Bucket, StepContext } from '../steps/step.ts'
import type { RespondMetrics } from './metrics.ts'
import type { Outcomes, StepOutcome } from './outcomes.ts'
import type { State } from './state.ts'

/** A message as it came. */
export interface Arrival {
  readonly subject: string
  readonly payload: Uint8Array
  /** The header Nats-Msg-Id. */
  readonly msgIdHeader?: string | undefined
  /** From 1. */
  readonly delivery: number
}

/** What became of the alert. */
export type RunResult =
  | { readonly kind: 'done'; readonly matched: boolean }
  /** Without `afterMs`, the pause grows with each delivery. */
  | { readonly kind: 'retry'; readonly reason: string; readonly afterMs?: number }
  | { readonly kind: 'giveUp'; readonly reason: string; readonly invalid?: boolean }

export interface RunnerParts {
  readonly plan: Plan
  readonly state: State
  readonly cluster: () => Cluster
  readonly bucket: (name: string) => Promise<Bucket>
  readonly outcomes: Outcomes
  readonly metrics: RespondMetrics
  readonly log: Logger
  /** What only waits is given back. */
  readonly stop: AbortSignal
  /** What runs is given up. */
  readonly abandon: AbortSignal
}

export interface Run extends RunnerParts {
  readonly playbook: Playbook
  /** Which of its deliveries it is, from 1. */
  readonly delivery: number
  /** What steps and outcomes know alike. */
  readonly about: Pick<StepContext, 'alert' | 'id' | 'subject' | 'playbook' | 'dryRun'>
  /** Whether a step has done something. */
  acted: boolean
  /** What was looked up: the object, or why it cannot be acted upon. */
  readonly found: { pod?: PodTarget | string; node?: NodeTarget | string }
}

/** Reports what became of a step. */
export function report(
  { outcomes, about, delivery, found }: Run,
  { step }: PlannedStep,
  result: Pick<StepOutcome, 'outcome' | 'text' | 'durationMs'>,
): void {
  const pod = typeof found.pod === 'object' ? found.pod : undefined
  const node = typeof found.node === 'object' ? found.node : undefined
  outcomes.report({ ...about, ...result, delivery, step: step.name, pod, node })
}
