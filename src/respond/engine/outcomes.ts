// Reports what became of each step: on NATS, in the log, in the metrics and on the pod.

import type { NatsConnection } from 'nats'
import type { Alert } from '../../shared/alert/alert.ts'
import { messageOf, printable } from '../../shared/errors.ts'
import type { Logger } from '../../shared/log.ts'
import type { Cluster } from '../kubernetes/cluster.ts'
import { noteOnPod } from '../kubernetes/pod-event.ts'
import type { NodeTarget, PodTarget } from '../kubernetes/target.ts'
import { OUTCOME_PREFIX } from '../playbook/subject-patterns.ts'
import type { Outcome, StepContext } from '../steps/step.ts'
import type { RespondMetrics } from './metrics.ts'

export interface StepOutcome extends Pick<StepContext, 'id' | 'subject' | 'playbook' | 'dryRun'> {
  readonly alert: Alert
  readonly step: string
  readonly outcome: Outcome
  /** The checked target. */
  readonly pod?: PodTarget | undefined
  readonly node?: NodeTarget | undefined
  readonly durationMs: number
  /** Of a step that failed the reason, else what was done. */
  readonly text: string
  /** From 1. */
  readonly delivery: number
}

export type Outcomes = ReturnType<typeof createOutcomes>

const NOTE_TIMEOUT_MS = 5_000
/** Of pods at a time; further ones get no note, since the API server has other things to do. */
const NOTES_MAX = 64
const TEXT_LENGTH_MAX = 4096

const MESSAGES: Record<Outcome, string> = {
  ok: 'a step is done',
  skipped: 'a step was skipped',
  dry_run: 'a step would be done (dry run)',
  failed: 'a step failed',
}

interface OutcomeParts {
  readonly connection: Pick<NatsConnection, 'publish'>
  readonly cluster: () => Cluster
  readonly metrics: RespondMetrics
  readonly log: Logger
}

export function createOutcomes({ connection, cluster, metrics, log }: OutcomeParts) {
  const notes = new Set<Promise<void>>()

  function note({ pod, outcome, playbook, step }: StepOutcome, text: string): void {
    // A dry run leaves no trace in the cluster, and what was not done is none of the pod's business.
    if (!pod || (outcome !== 'ok' && outcome !== 'failed') || notes.size >= NOTES_MAX) return
    const isOk = outcome === 'ok'
    const event = {
      reason: isOk ? 'FalcoResponse' : 'FalcoResponseFailed',
      message: `falco-nats playbook ${playbook}, step ${step}: ${text}`,
      type: isOk ? ('Normal' as const) : ('Warning' as const),
    }
    const signal = AbortSignal.timeout(NOTE_TIMEOUT_MS)
    const noted = (async () => noteOnPod(cluster(), pod, event, signal))()
      .catch((error) => log.debug({ reason: messageOf(error) }, 'cannot note it on the pod'))
      .finally(() => notes.delete(noted))
    notes.add(noted)
  }

  return {
    /** Never throws: an outcome that cannot be reported is no reason to act again. */
    report(result: StepOutcome): void {
      const { playbook, step, outcome, id, subject, alert, pod, node, delivery } = result
      const text = cut(result.text)
      const isFailed = outcome === 'failed'
      const same = { id, playbook, step, outcome, [isFailed ? 'error' : 'detail']: text }
      const ms = Math.round(result.durationMs)
      const podFields = pod && { namespace: pod.namespace, pod: pod.name }
      const nodeName = node?.name ?? pod?.nodeName
      const event = {
        time: new Date().toISOString(),
        ...same,
        subject,
        rule: alert.rule,
        priority: alert.priority,
        target: { ...podFields, ...(nodeName && { node: nodeName }) },
        durationMs: ms,
        dryRun: result.dryRun,
        delivery,
      }
      try {
        const to = `${OUTCOME_PREFIX}${playbook}.${step}.${outcome}`
        connection.publish(to, JSON.stringify(event))
      } catch (error) {
        log.warn({ playbook, step, reason: messageOf(error) }, 'cannot publish an outcome')
      }
      note(result, text)
      metrics.steps.inc({ playbook, step, outcome })
      metrics.stepSeconds.observe({ step }, result.durationMs / 1000)
      const logFields = {
        ...same,
        subject: printable(subject),
        rule: cut(alert.rule),
        ...podFields,
        ...(node && { node: node.name }),
        ms,
        ...(delivery > 1 && { delivery }),
      }
      log[isFailed ? 'warn' : 'info'](logFields, MESSAGES[outcome])
    },
    /** Resolves when the notes on pods are written. */
    async settled(): Promise<void> {
      await Promise.all(notes)
    },
  }
}

/** Before it is escaped, which takes long for a megabyte, and after. */
const cut = (text: string) => printable(text.slice(0, TEXT_LENGTH_MAX)).slice(0, TEXT_LENGTH_MAX)
