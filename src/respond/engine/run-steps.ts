// The steps of a playbook, one after the other, each on a target that was checked.

import { messageOf } from '../../shared/errors.ts'
import type { PlannedStep } from '../playbook/playbook.ts'
import type { StepContext, TargetKind } from '../steps/step.ts'
import { checkNode, checkPod } from './guard.ts'
import type { Run, RunResult } from './run.ts'
import { within } from './time-limit.ts'

export async function runSteps(run: Run): Promise<RunResult> {
  const { playbook, state, id, plan } = run
  for (const [index, planned] of playbook.steps.entries()) {
    const { step } = planned
    const remembered = !step.repeatable && !plan.dryRun
    if (remembered && (await state.isDone(playbook.name, id, index))) {
      run.acted = true
      continue
    }
    const failure = await runStep(run, planned, index)
    if (failure === undefined) {
      if (remembered) await state.markDone(playbook.name, id, index)
    } else if (!planned.continueOnError || run.abandon.aborted) {
      // What is broken off by our end is not over, whatever else may fail.
      const kind = isRetryable(failure) ? 'retry' : 'giveUp'
      return { kind, reason: `${step.name}: ${messageOf(failure)}` }
    }
  }
  return { kind: 'done', matched: true }
}

/** An error that does not know counts as one that may pass. */
const isRetryable = (error: unknown) => (error as { retryable?: unknown }).retryable !== false

/** Gives what went wrong. */
async function runStep(run: Run, planned: PlannedStep, index: number): Promise<unknown> {
  const { step, params } = planned
  const begun = performance.now()
  const durationMs = () => performance.now() - begun
  try {
    const { outcome, detail } = await within(planned.timeoutMs, run.abandon, async (signal) => {
      const target = await findTarget(run, step.target, signal)
      if (typeof target === 'string') return { outcome: 'skipped' as const, detail: target }
      return await step.run(params, { ...contextOf(run), index, ...target, signal })
    })
    if (outcome !== 'skipped') run.acted = true
    run.report(planned, { outcome, text: detail, durationMs: durationMs() })
    return undefined
  } catch (error) {
    run.report(planned, { outcome: 'failed', text: messageOf(error), durationMs: durationMs() })
    return error ?? new Error('unknown')
  }
}

/** What all steps may know. */
function contextOf({ alert, id, arrival, playbook, plan, cluster, bucket, log }: Run) {
  const { subject } = arrival
  const { dryRun } = plan
  const fields = alert as StepContext['alert']
  return { alert: fields, id, subject, playbook: playbook.name, dryRun, cluster, bucket, log }
}

/** Looked up once for each kind; after a failure of the API, again by the next step. */
async function findTarget(
  { cluster, alert, plan, found }: Run,
  kind: TargetKind,
  signal: AbortSignal,
): Promise<Pick<StepContext, 'pod' | 'node'> | string> {
  if (kind === 'none') return {}
  if (kind === 'pod')
    found.pod ??= await checkPod(cluster(), alert, plan.protectedNamespaces, signal)
  else found.node ??= await checkNode(cluster(), alert, signal)
  const target = found[kind]!
  return typeof target === 'string' ? target : { [kind]: target }
}
