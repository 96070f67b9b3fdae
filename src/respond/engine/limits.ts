// What keeps a playbook from acting too often: the cool-down of a target, and the actions in a minute.

import type { Alert } from '../../shared/alert/alert.ts'
import { sleep } from '../../shared/backoff.ts'
import { nodeOf, podOf } from '../kubernetes/target.ts'
import type { Plan, Playbook } from '../playbook/playbook.ts'
import type { TargetKind } from '../steps/step.ts'
import { type Run, type RunResult, report } from './run.ts'

const WAIT_MAX_MS = 5_000

/** What all of the steps act on, as the alert has it. Undefined: nothing cools down. */
export function coolingTarget({ coolDownMs, steps }: Playbook, alert: Alert): string | undefined {
  if (coolDownMs === 0) return undefined
  const kinds = new Set(steps.map(({ step }) => step.target))
  const pod = kinds.has('pod') ? podOf(alert) : undefined
  if (pod) return `pod ${pod.namespace}/${pod.name}`
  const node = kinds.has('node') ? nodeOf(alert) : undefined
  return node === undefined ? undefined : `node ${node}`
}

/** False: it cools down. That is reported once, not for each step. */
export async function takeTarget(run: Run, target: string): Promise<boolean> {
  const { playbook, state, metrics, about } = run
  if (await state.coolDown(playbook.name, target, playbook.coolDownMs, about.id)) return true
  metrics.delayed.inc({ reason: 'cool_down' })
  const text = `left alone, with all steps: it cools down since this playbook acted on ${target}`
  report(run, playbook.steps[0]!, { outcome: 'skipped', text, durationMs: 0 })
  return false
}

/**
 * Waits here, and does not give the message back: each time it came again would count as a failure,
 * and the limit holds for all that come behind it as well. Gives a result only when it was stopped.
 */
export async function waitForRoom(run: Run): Promise<RunResult | undefined> {
  const { playbook, about, plan, state, metrics, log, stop } = run
  // An alert that will do nothing takes no room.
  if (plan.dryRun || !playbook.steps.some(({ step }) => hasTarget(step.target, about.alert, plan)))
    return undefined
  const { maxActionsPerMinute } = plan
  for (let isFirst = true; ; isFirst = false) {
    const ms = await state.takeAction(maxActionsPerMinute)
    if (ms === 0) return undefined
    if (isFirst) {
      metrics.delayed.inc({ reason: 'rate' })
      log.warn({ maxActionsPerMinute, ms }, 'an alert waits: there were too many actions')
    }
    await sleep(Math.min(ms, WAIT_MAX_MS) * (0.5 + Math.random() / 2), stop)
    if (stop.aborted) {
      const reason = 'stopped while it waited for room under maxActionsPerMinute'
      return { kind: 'retry', reason, afterMs: 1 }
    }
  }
}

/** As far as the alert itself shows. */
function hasTarget(kind: TargetKind, alert: Alert, { protectedNamespaces }: Plan): boolean {
  if (kind === 'node') return nodeOf(alert) !== undefined
  const pod = podOf(alert)
  return kind === 'none' || (pod !== undefined && !protectedNamespaces.includes(pod.namespace))
}
