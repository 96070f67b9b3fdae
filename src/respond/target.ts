// What an alert is about: which pod, which node. Only what it says itself; null and missing are no answer.

import type { Alert } from '../alert.ts'

/** As the alert has it. */
export interface NamedPod {
  readonly namespace: string
  readonly name: string
}

export interface PodTarget extends NamedPod {
  /** The live pod's, since it was checked: every action names it, so that no other pod is hit. */
  readonly uid: string
  /** Undefined: not scheduled. */
  readonly nodeName: string | undefined
}

export interface NodeTarget {
  readonly name: string
  readonly uid: string
}

/** From `k8s.*` of system calls, else from `ka.*` of the audit log. */
export function podOf(_alert: Alert): NamedPod | undefined {
  throw new Error('not yet')
}

/** The node on which it happened. */
export function nodeOf(_alert: Alert): string | undefined {
  throw new Error('not yet')
}
