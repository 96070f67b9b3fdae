// A step: one action of a playbook, by the name that the file gives it; what it is given, and its result.

import { z } from 'zod'
import type { Alert } from '../../shared/alert/alert.ts'
import { messageOf } from '../../shared/errors.ts'
import type { Logger } from '../../shared/log.ts'
import type { Cluster } from '../kubernetes/cluster.ts'
import type { NodeTarget, PodTarget } from '../kubernetes/target.ts'

/** A rule of a Role or ClusterRole, as Kubernetes has it. */
export type RbacRule = Readonly<Record<'apiGroups' | 'resources' | 'verbs', readonly string[]>>

/** What a step acts on: found in the alert, then checked against the live object. */
export type TargetKind = 'pod' | 'node' | 'none'

export interface Step<Params = unknown> {
  /** As in the file: `delete-pod`. */
  readonly name: string
  /** Its parameters, with defaults; strict, so that a misspelt key is an error. */
  readonly params: z.ZodType<Params>
  readonly target: TargetKind
  /** Whether doing it again finds the work done. Others are remembered, so that a redelivery skips them. */
  readonly repeatable: boolean
  /** The permissions that it needs with these parameters, beside looking at its target. */
  rules(params: Params): readonly RbacRule[]
  /** With `context.dryRun` it looks at everything and does nothing. What it throws, isRetryable judges. */
  run(params: Params, context: StepContext): Promise<Done>
}

/** One that acts on nothing in the cluster, and is not repeatable, unless it has it otherwise. */
export const defineStep = <Params>(
  step: Pick<Step<Params>, 'name' | 'params' | 'run'> & Partial<Step<Params>>,
): Step<Params> => ({ target: 'none', repeatable: false, rules: () => [], ...step })

export interface StepContext {
  readonly alert: Alert & Readonly<Record<string, unknown>>
  /** The same at each delivery of the alert: 22 characters of `[A-Za-z0-9_-]`. */
  readonly id: string
  readonly subject: string
  readonly playbook: string
  /** Which of the playbook's steps it is, from 0. */
  readonly index: number
  /** Of the kind that the step names; checked. */
  readonly pod?: PodTarget
  readonly node?: NodeTarget
  readonly dryRun: boolean
  /** Aborts at the step's timeout. */
  readonly signal: AbortSignal
  /** Throws where there is no cluster. */
  readonly cluster: () => Cluster
  /** A NATS object store by name, made if it is not there: see capture-logs. */
  readonly bucket: (name: string) => Promise<Bucket>
  readonly log: Logger
}

export interface Bucket {
  put(name: string, bytes: Buffer): Promise<void>
}

/** `skipped`: there was nothing to do, or it must not be done. `detail` is one line, for people: what, or why not. */
export interface Done {
  readonly outcome: 'ok' | 'skipped' | 'dry_run'
  readonly detail: string
}

export type Outcome = Done['outcome'] | 'failed'

/** Why a step could not be done. */
export class StepError extends Error {
  override name = 'StepError'
  /** Whether it may be different the next time: a file is missing, a server is away, … */
  readonly retryable: boolean
  constructor(message: string, { retryable, cause }: { retryable: boolean; cause?: unknown }) {
    super(message, { cause })
    this.retryable = retryable
  }
}

/** Whether a step that threw this may be tried again: unless the error denies it, also by the name of old. */
export function isRetryable(error: unknown): boolean {
  const { retryable, mayPass } = (error ?? {}) as { retryable?: unknown; mayPass?: unknown }
  return retryable !== false && mayPass !== false
}

/** For a schema to transform with: what `parse` throws is what is wrong with the value. */
export const trying =
  <T>(parse: (text: string) => T) =>
  (given: string | number, context: z.RefinementCtx): T => {
    try {
      return parse(String(given))
    } catch (error) {
      context.addIssue({ code: 'custom', message: messageOf(error) })
      return z.NEVER
    }
  }
