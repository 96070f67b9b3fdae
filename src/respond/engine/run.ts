// A playbook at work on one alert: what came, what it works with, its steps, and what became of it.

import { messageOf } from '../../shared/errors.ts'
import type { Logger } from '../../shared/log.ts'
import type { Cluster } from '../kubernetes/cluster.ts'
import type { NodeTarget, PodTarget } from '../kubernetes/target.ts'
import type { Plan, PlannedStep, Playbook } from '../playbook/playbook.ts'
import { type Bucket, isRetryable, type StepContext, StepError } from '../steps/step.ts'
import { checkNode, checkPod } from './guard.ts'
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
  /** Gives back the alerts that only wait. */
  readonly stop: AbortSignal
  /** Gives up the steps that run. */
  readonly abandon: AbortSignal
}

export interface Run extends RunnerParts {
  readonly playbook: Playbook
  /** From 1. */
  readonly delivery: number
  /** What steps and outcomes know alike. */
  readonly about: Pick<StepContext, 'alert' | 'id' | 'subject' | 'playbook' | 'dryRun'>
  /** Whether a step has done something. */
  acted: boolean
  /** What was looked up: the object, or why it cannot be acted upon. */
  readonly found: { pod?: PodTarget | string; node?: NodeTarget | string }
}

export async function runSteps(run: Run): Promise<RunResult> {
  const { playbook, state, about, plan } = run
  for (const [index, planned] of playbook.steps.entries()) {
    const { step } = planned
    const remembered = !step.repeatable && !plan.dryRun
    if (remembered && (await state.isDone(playbook.name, about.id, index))) {
      run.acted = true
      continue
    }
    const failure = await runStep(run, planned, index)
    if (failure === undefined) {
      if (remembered) await state.markDone(playbook.name, about.id, index)
    } else if (!planned.continueOnError || run.abandon.aborted) {
      // A step that our end broke off has to run again, even one that may fail.
      const kind = isRetryable(failure) ? 'retry' : 'giveUp'
      return { kind, reason: `${step.name}: ${messageOf(failure)}` }
    }
  }
  return { kind: 'done', matched: true }
}

/** Gives the error of a step that failed. */
async function runStep(run: Run, planned: PlannedStep, index: number): Promise<unknown> {
  const { about, cluster, bucket, log } = run
  const { step, params } = planned
  const begun = performance.now()
  const end = (outcome: StepOutcome['outcome'], text: string) =>
    report(run, planned, { outcome, text, durationMs: performance.now() - begun })
  try {
    const { outcome, detail } = await within(planned.timeoutMs, run.abandon, async (signal) => {
      const target = await findTarget(run, planned, signal)
      if (typeof target === 'string') return { outcome: 'skipped' as const, detail: target }
      return await step.run(params, { ...about, cluster, bucket, log, index, ...target, signal })
    })
    if (outcome !== 'skipped') run.acted = true
    end(outcome, detail)
    return undefined
  } catch (error) {
    end('failed', messageOf(error))
    return error ?? new Error('unknown')
  }
}

/** Looked up once for each kind; after a failure of the API, again by the next step. */
async function findTarget(run: Run, { step: { target: kind } }: PlannedStep, signal: AbortSignal) {
  const { cluster, about, plan, found } = run
  if (kind === 'none') return {}
  if (kind === 'pod')
    found.pod ??= await checkPod(cluster(), about.alert, plan.protectedNamespaces, signal)
  else found.node ??= await checkNode(cluster(), about.alert, signal)
  const target = found[kind]!
  return typeof target === 'string' ? target : { [kind]: target }
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

/** Leaves a step behind that does not heed its signal, so that it holds up no other. */
export async function within<T>(
  ms: number,
  abandon: AbortSignal,
  act: (signal: AbortSignal) => Promise<T>,
): Promise<T> {
  const over = new AbortController()
  const { signal } = over
  const end = (message: string) => over.abort(new StepError(message, { retryable: true }))
  const onAbandon = () => end('given up: asked to end at once')
  // Before the step listens, so that this is the reason, and not what the step makes of its signal.
  const ended = new Promise<never>((_, reject) =>
    signal.addEventListener('abort', () => reject(signal.reason)),
  )
  const timer = setTimeout(end, ms, `took longer than its timeout of ${ms / 1000} s`)
  abandon.addEventListener('abort', onAbandon)
  try {
    if (abandon.aborted) onAbandon()
    return await Promise.race([ended, signal.aborted ? ended : act(signal)])
  } finally {
    clearTimeout(timer)
    abandon.removeEventListener('abort', onAbandon)
  }
}
