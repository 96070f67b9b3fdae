// Whether what the alert names is really there, is the same, and may be touched.

import type { Alert } from '../alert.ts'
import type { Cluster } from './cluster.ts'
import type { NodeTarget, PodTarget } from './target.ts'

/** The live pod, or why it cannot be acted upon (a line for people). Throws a StepError where the API fails. */
export async function checkPod(
  _cluster: Cluster,
  _alert: Alert,
  _protectedNamespaces: readonly string[],
  _signal: AbortSignal,
): Promise<PodTarget | string> {
  throw new Error('not yet')
}

/** The live node, likewise. */
export async function checkNode(
  _cluster: Cluster,
  _alert: Alert,
  _signal: AbortSignal,
): Promise<NodeTarget | string> {
  throw new Error('not yet')
}
