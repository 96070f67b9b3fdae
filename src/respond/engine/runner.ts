// One alert through one playbook: is it meant, may it be acted upon, then step by step.

import { hash } from 'node:crypto'
import { setTimeout as delay } from 'node:timers/promises'
import { type Alert, parseAlert } from '../../shared/alert/alert.ts'
import { messageOf, printable } from '../../shared/errors.ts'
import type { Logger } from '../../shared/log.ts'
import type { Cluster } from '../kubernetes/cluster.ts'
import { type NodeTarget, nodeOf, type PodTarget, podOf } from '../kubernetes/target.ts'
import type { Plan, PlannedStep, Playbook } from '../playbook/playbook.ts'
import { isOwn } from '../playbook/subject-patterns.ts'
import { type Bucket, isRetryable, type StepContext, type TargetKind } from '../steps/step.ts'
import { checkNode, checkPod } from './guard.ts'
import { matches } from './match.ts'
import type { RespondMetrics } from './metrics.ts'
import type { Outcomes, StepOutcome } from './outcomes.ts'
import type { State } from './state.ts'
import { within } from './time-limit.ts'

/** A message as it came. */
export interface Arrival {
  readonly subject: string
  readonly payload: Uint8Array
  /** The header Nats-Msg-Id. */
  readonly msgIdHeader?: string | undefined
  /** From 1. */
  readonly delivery: number
}

/** What is to become of the message. */
export type Verdict =
  | { readonly kind: 'done'; readonly matched: boolean }
  /** Again later; without `afterMs` as late as the delivery says. */
  | { readonly kind: 'retry'; readonly reason: string; readonly afterMs?: number }
  | { readonly kind: 'giveUp'; readonly reason: string; readonly invalid?: boolean }

export interface Runner {
  /** Never rejects. */
  handle(playbook: Playbook, arrival: Arrival): Promise<Verdict>
}

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

/** 22 characters of base64 are 132 bits. */
const ID_LENGTH = 22
const WAIT_MAX_MS = 5_000

export function createRunner(parts: RunnerParts): Runner {
  return {
    async handle(playbook, arrival) {
      try {
        return await handle(parts, playbook, arrival)
      } catch (error) {
        return { kind: 'retry', reason: messageOf(error) }
      }
    },
  }
}

async function handle(parts: RunnerParts, playbook: Playbook, arrival: Arrival): Promise<Verdict> {
  const { subject, payload } = arrival
  // Before it is read: a dead letter that is no alert would become another.
  if (isOwn(subject)) return IGNORED
  const bytes = Buffer.from(payload.buffer, payload.byteOffset, payload.byteLength)
  const alert = parseAlert(bytes, 0, bytes.length)
  if (typeof alert === 'string')
    return { kind: 'giveUp', reason: `this is no alert: ${NO_ALERT[alert]}`, invalid: true }
  const why = matches(playbook, subject, alert)
  if (why !== true) {
    parts.log.debug({ playbook: playbook.name, subject: printable(subject), why }, 'not meant')
    return IGNORED
  }
  const run = createRun(parts, playbook, arrival, alert, idOf(arrival))
  const target = coolingTarget(run)
  const trouble = (await leftAlone(run, target)) ?? (await waitForRoom(run))
  const verdict = trouble ?? (await runSteps(run))
  // An alert that could do nothing, maybe about a pod that is gone, must not shield the next one's.
  if (target !== undefined && run.taken && !run.acted)
    await parts.state.release(playbook.name, target, run.id)
  return verdict
}

const IGNORED: Verdict = { kind: 'done', matched: false }
const DONE: Verdict = { kind: 'done', matched: true }
const NO_ALERT = { invalid_json: 'not JSON', not_an_alert: 'without priority or rule' } as const

/**
 * The same at each delivery, and where a forwarder sends the same line twice. A short id of another
 * publisher may be a counter that begins anew: what is done for one alert would be so for the next.
 */
export function idOf({ msgIdHeader, subject, payload }: Arrival): string {
  if (msgIdHeader !== undefined && /^[A-Za-z0-9_-]{22,64}$/.test(msgIdHeader)) return msgIdHeader
  const both = Buffer.concat([Buffer.from(`${subject}\n`), payload])
  return hash('sha256', both, 'base64url').slice(0, ID_LENGTH)
}

/** A playbook at work on one alert. */
interface Run extends RunnerParts {
  readonly playbook: Playbook
  readonly arrival: Arrival
  readonly alert: Alert
  readonly id: string
  /** Whether its target cools down from now on, and whether a step has done something. */
  taken: boolean
  acted: boolean
  /** What was looked up: the object, or why it cannot be acted upon. */
  readonly found: { pod?: PodTarget | string; node?: NodeTarget | string }
  readonly tell: (
    planned: PlannedStep,
    told: Pick<StepOutcome, 'outcome' | 'text' | 'durationMs'>,
  ) => void
}

function createRun(
  parts: RunnerParts,
  playbook: Playbook,
  arrival: Arrival,
  alert: Alert,
  id: string,
): Run {
  const found: Run['found'] = {}
  const { subject, delivery } = arrival
  const same = { id, playbook: playbook.name, subject, alert, delivery, dryRun: parts.plan.dryRun }
  const tell: Run['tell'] = ({ step }, told) => {
    const pod = typeof found.pod === 'object' ? found.pod : undefined
    const node = typeof found.node === 'object' ? found.node : undefined
    parts.outcomes.tell({ ...same, ...told, step: step.name, pod, node })
  }
  return { ...parts, playbook, arrival, alert, id, taken: false, acted: false, found, tell }
}

/** A target that was acted upon a moment ago is left alone; that is told once, not for each step. */
async function leftAlone(run: Run, target: string | undefined): Promise<Verdict | undefined> {
  const { playbook, state, metrics, id, tell } = run
  const first = playbook.steps[0]
  if (target === undefined || first === undefined) return undefined
  run.taken = await state.coolDown(playbook.name, target, playbook.coolDownMs, id)
  if (run.taken) return undefined
  metrics.delayed('cool_down')
  const text = `left alone, with all steps: it cools down since this playbook acted on ${target}`
  tell(first, { outcome: 'skipped', text, durationMs: 0 })
  return DONE
}

const coolingTarget = ({ playbook, alert }: Run) =>
  playbook.coolDownMs > 0 ? targetText(playbook, alert) : undefined

/** What all of its steps act on, as the alert has it. */
function targetText({ steps }: Playbook, alert: Alert): string | undefined {
  const kinds = new Set(steps.map(({ step }) => step.target))
  const pod = kinds.has('pod') ? podOf(alert) : undefined
  if (pod) return `pod ${pod.namespace}/${pod.name}`
  const node = kinds.has('node') ? nodeOf(alert) : undefined
  return node === undefined ? undefined : `node ${node}`
}

/**
 * Waits here, and does not give the message back: each time it came again would count as a failure,
 * and the limit holds for all that come behind it as well.
 */
async function waitForRoom({ playbook, alert, plan, state, metrics, log, stop }: Run) {
  // What is not done needs no limit.
  if (plan.dryRun || !playbook.steps.some(({ step }) => hasTarget(step.target, alert, plan)))
    return undefined
  for (let first = true; ; first = false) {
    const ms = await state.takeAction(plan.maxActionsPerMinute)
    if (ms === 0) return undefined
    if (first) {
      metrics.delayed('rate')
      const { maxActionsPerMinute } = plan
      log.warn({ maxActionsPerMinute, ms }, 'an alert waits: there were too many actions')
    }
    const wait = Math.min(ms, WAIT_MAX_MS) * (0.5 + Math.random() / 2)
    await delay(wait, undefined, { signal: stop }).catch(() => {})
    if (stop.aborted) {
      const reason = 'stopped while it waited for room under maxActionsPerMinute'
      return { kind: 'retry', reason, afterMs: 1 } as const
    }
  }
}

/** As far as the alert itself tells. */
function hasTarget(kind: TargetKind, alert: Alert, { protectedNamespaces }: Plan): boolean {
  if (kind === 'node') return nodeOf(alert) !== undefined
  const pod = podOf(alert)
  return kind === 'none' || (pod !== undefined && !protectedNamespaces.includes(pod.namespace))
}

async function runSteps(run: Run): Promise<Verdict> {
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
      const reason = `${step.name}: ${messageOf(failure)}`
      return isRetryable(failure) ? { kind: 'retry', reason } : { kind: 'giveUp', reason }
    }
  }
  return DONE
}

/** Gives what went wrong. */
async function runStep(run: Run, planned: PlannedStep, index: number): Promise<unknown> {
  const { step, params } = planned
  const begun = performance.now()
  const durationMs = () => performance.now() - begun
  try {
    const { outcome, detail } = await within(planned.timeoutMs, run.abandon, async (signal) => {
      const target = await findTarget(run, step.target, signal)
      if (typeof target === 'string') return { outcome: 'skipped' as const, detail: target }
      return await step.run(params, contextOf(run, index, target, signal))
    })
    if (outcome !== 'skipped') run.acted = true
    run.tell(planned, { outcome, text: detail, durationMs: durationMs() })
    return undefined
  } catch (error) {
    run.tell(planned, { outcome: 'failed', text: messageOf(error), durationMs: durationMs() })
    return error ?? new Error('unknown')
  }
}

function contextOf(
  run: Run,
  index: number,
  target: Pick<StepContext, 'pod' | 'node'>,
  signal: AbortSignal,
): StepContext {
  const { alert, id, arrival, playbook, plan, cluster, bucket, log } = run
  return {
    alert: alert as StepContext['alert'],
    id,
    subject: arrival.subject,
    playbook: playbook.name,
    index,
    ...target,
    dryRun: plan.dryRun,
    signal,
    cluster,
    bucket,
    log,
  }
}

/** Once for each kind; an API that fails is asked again by the next step. */
async function findTarget(
  { cluster, alert, plan, found }: Run,
  kind: TargetKind,
  signal: AbortSignal,
): Promise<Pick<StepContext, 'pod' | 'node'> | string> {
  if (kind === 'pod') {
    found.pod ??= await checkPod(cluster(), alert, plan.protectedNamespaces, signal)
    return typeof found.pod === 'string' ? found.pod : { pod: found.pod }
  }
  if (kind === 'node') {
    found.node ??= await checkNode(cluster(), alert, signal)
    return typeof found.node === 'string' ? found.node : { node: found.node }
  }
  return {}
}
