// One alert through one playbook: does it match, may it be acted upon now, then step by step.

import { hash } from 'node:crypto'
import { type Alert, parseAlert } from '../../shared/alert/alert.ts'
import { sleep } from '../../shared/backoff.ts'
import { messageOf, printable } from '../../shared/errors.ts'
import { nodeOf, podOf } from '../kubernetes/target.ts'
import type { Plan, Playbook } from '../playbook/playbook.ts'
import { isOwn } from '../playbook/subject-patterns.ts'
import type { StepContext, TargetKind } from '../steps/step.ts'
import { matches } from './match.ts'
import {
  type Arrival,
  type Run,
  type RunnerParts,
  type RunResult,
  report,
  runSteps,
} from './run.ts'

export type Runner = ReturnType<typeof createRunner>

/** 22 characters of base64 are 132 bits. */
const ID_LENGTH = 22
const WAIT_MAX_MS = 5_000
const DONE: RunResult = { kind: 'done', matched: true }
const IGNORED: RunResult = { kind: 'done', matched: false }
const NO_ALERT = { invalid_json: 'not JSON', not_an_alert: 'without priority or rule' } as const

export const createRunner = (parts: RunnerParts) => ({
  /** Never rejects. */
  handle: (playbook: Playbook, arrival: Arrival): Promise<RunResult> =>
    handle(parts, playbook, arrival).catch((error) => ({
      kind: 'retry',
      reason: messageOf(error),
    })),
})

async function handle(parts: RunnerParts, playbook: Playbook, arrival: Arrival) {
  const { subject, payload, delivery } = arrival
  // Before it is read: a dead letter that is no alert would become another.
  if (isOwn(subject)) return IGNORED
  const bytes = Buffer.from(payload.buffer, payload.byteOffset, payload.byteLength)
  const read = parseAlert(bytes, 0, bytes.length)
  if (typeof read === 'string') {
    const reason = `this is no alert: ${NO_ALERT[read]}`
    return { kind: 'giveUp', reason, invalid: true } as const
  }
  const alert = read as StepContext['alert']
  const { name } = playbook
  const why = matches(playbook, subject, alert)
  if (why !== true) {
    parts.log.debug({ playbook: name, subject: printable(subject), why }, 'not meant')
    return IGNORED
  }
  const about = { alert, id: idOf(arrival), subject, playbook: name, dryRun: parts.plan.dryRun }
  const run: Run = { ...parts, playbook, delivery, about, acted: false, found: {} }
  const target = coolingTarget(playbook, alert)
  if (target !== undefined && !(await takeTarget(run, target))) return DONE
  const result = (await waitForRoom(run)) ?? (await runSteps(run))
  // An alert that could do nothing, maybe about a pod that is gone, must not shield the next one's.
  if (target !== undefined && !run.acted) await parts.state.release(name, target, about.id)
  return result
}

/** The same at each delivery and for a line sent twice. A short id may be a counter that begins anew. */
export function idOf({ msgIdHeader, subject, payload }: Arrival): string {
  if (msgIdHeader !== undefined && /^[A-Za-z0-9_-]{22,64}$/.test(msgIdHeader)) return msgIdHeader
  const both = Buffer.concat([Buffer.from(`${subject}\n`), payload])
  return hash('sha256', both, 'base64url').slice(0, ID_LENGTH)
}

/** What all of the steps act on, as the alert has it. Undefined: nothing cools down. */
function coolingTarget({ coolDownMs, steps }: Playbook, alert: Alert): string | undefined {
  if (coolDownMs === 0) return undefined
  const kinds = new Set(steps.map(({ step }) => step.target))
  const pod = kinds.has('pod') ? podOf(alert) : undefined
  if (pod) return `pod ${pod.namespace}/${pod.name}`
  const node = kinds.has('node') ? nodeOf(alert) : undefined
  return node === undefined ? undefined : `node ${node}`
}

/** False: it cools down. That is reported once, not for each step. */
async function takeTarget(run: Run, target: string): Promise<boolean> {
  const { playbook, state, metrics, about } = run
  if (await state.coolDown(playbook.name, target, playbook.coolDownMs, about.id)) return true
  metrics.delayed.inc({ reason: 'cool_down' })
  const text = `left alone, with all steps: it cools down since this playbook acted on ${target}`
  report(run, playbook.steps[0]!, { outcome: 'skipped', text, durationMs: 0 })
  return false
}

/** Keeps the message, since each redelivery would count as a failure. Gives a result only at a stop. */
async function waitForRoom(run: Run): Promise<RunResult | undefined> {
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
    const reason = 'stopped while it waited for room under maxActionsPerMinute'
    if (stop.aborted) return { kind: 'retry', reason, afterMs: 1 }
  }
}

/** As far as the alert itself shows. */
function hasTarget(kind: TargetKind, alert: Alert, { protectedNamespaces }: Plan): boolean {
  if (kind === 'node') return nodeOf(alert) !== undefined
  const pod = podOf(alert)
  return kind === 'none' || (pod !== undefined && !protectedNamespaces.includes(pod.namespace))
}
