// The steps of a playbook, one after the other, each on a target that was checked.

import { messageOf } from '../../shared/errors.ts'
import type { PlannedStep } from '../playbook/playbook.ts'
import { isRetryable, type StepContext, type TargetKind } from '../steps/step.ts'
import { checkNode, checkPod } from './guard.ts'
import { type Run, type RunResult, report } from './run.ts'
import { within } from './time-limit.ts'

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

/** Gives what went wrong. */
async function runStep(run: Run, planned: PlannedStep, index: number): Promise<unknown> {
  const { about, cluster, bucket, log } = run
  const { step, params } = planned
  const begun = performance.now()
  const durationMs = () => performance.now() - begun
  try {
    const { outcome, detail } = await within(planned.timeoutMs, run.abandon, async (signal) => {
      const target = await findTarget(run, step.target, signal)
      if (typeof target === 'string') return { outcome: 'skipped' as const, detail: target }
      return await step.run(params, { ...about, cluster, bucket, log, index, ...target, signal })
    })
    if (outcome !== 'skipped') run.acted = true
    report(run, planned, { outcome, text: detail, durationMs: durationMs() })
    return undefined
  } catch (error) {
    report(run, planned, { outcome: 'failed', text: messageOf(error), durationMs: durationMs() })
    return error ?? new Error('unknown')
  }
}

/** Looked up once for each kind; after a failure of the API, again by the next step. */
async function findTarget(
  { cluster, about, plan, found }: Run,
  kind: TargetKind,
  signal: AbortSignal,
): Promise<Pick<StepContext, 'pod' | 'node'> | string> {
  if (kind === 'none') return {}
  if (kind === 'pod')
    found.pod ??= await checkPod(cluster(), about.alert, plan.protectedNamespaces, signal)
  else found.node ??= await checkNode(cluster(), about.alert, signal)
  const target = found[kind]!
  return typeof target === 'string' ? target : { [kind]: target }
}
