// Whether what the alert names is really there, is the same, and may be touched.

import type { Alert } from '../../shared/alert/alert.ts'
import type { Cluster } from '../kubernetes/cluster.ts'
import type { Metadata, Pod } from '../kubernetes/objects.ts'
import type { NodeTarget, PodTarget } from '../kubernetes/target.ts'
import { containerIdOf, findPod, nodeOf } from '../kubernetes/target.ts'

/** How far the clocks of a node and of the API server may be apart. */
const CLOCKS_MS = 2_000
/** The length to which Falco shortens ids. Less of one would fit many. */
const SHORT_ID = 12

/** The live pod, or why it cannot be acted upon (a line for people). Throws an ApiError where the API fails. */
export async function checkPod(
  cluster: Cluster,
  alert: Alert,
  protectedNamespaces: readonly string[],
  signal: AbortSignal,
): Promise<PodTarget | string> {
  const named = findPod(alert)
  if (!named) return 'the alert names no pod'
  const { namespace, name } = named
  if (protectedNamespaces.includes(namespace)) return `the namespace ${namespace} is protected`
  const pod = await cluster.pod(named, signal)
  if (!pod) return `there is no pod ${namespace}/${name}`
  const why =
    isNewer(pod.metadata, alert, 'pod') ??
    // The audit log names the pod itself, and neither container nor node.
    (named.family === 'ka' ? undefined : isAnother(pod, alert))
  return why ?? { namespace, name, uid: pod.metadata.uid, nodeName: pod.spec.nodeName || undefined }
}

/** The live node, likewise. */
export async function checkNode(
  cluster: Cluster,
  alert: Alert,
  signal: AbortSignal,
): Promise<NodeTarget | string> {
  const name = nodeOf(alert)
  if (name === undefined) return 'the alert names no node'
  const node = await cluster.node(name, signal)
  if (!node) return `there is no node ${name}`
  return isNewer(node.metadata, alert, 'node') ?? { name, uid: node.metadata.uid }
}

/** What bears the name now may not be what bore it then. */
function isNewer({ creationTimestamp }: Metadata, alert: Alert, what: string): string | undefined {
  const raised = typeof alert.time === 'string' ? Date.parse(alert.time) : Number.NaN
  if (Number.isNaN(raised)) return 'the alert does not say when it was raised'
  const isOlder = Date.parse(creationTimestamp) <= raised + CLOCKS_MS
  return isOlder ? undefined : `the ${what} is newer than the alert`
}

function isAnother(pod: Pod, alert: Alert): string | undefined {
  const id = containerIdOf(alert)
  const ids = containerIds(pod)
  if (id !== undefined && ids.length > 0) {
    const isOne = id.length >= SHORT_ID && ids.some((known) => known.startsWith(id))
    return isOne ? undefined : 'the container of the alert is not one of this pod'
  }
  const node = nodeOf(alert)
  if (node === undefined || !pod.spec.nodeName)
    return 'neither a container nor a node shows that the pod is the one of the alert'
  return node === pod.spec.nodeName ? undefined : 'the pod is not on the node of the alert'
}

/** Of its containers, as they are and as they were before their last restart. */
function containerIds({ status = {} }: Pod): string[] {
  return [
    ...(status.containerStatuses ?? []),
    ...(status.initContainerStatuses ?? []),
    ...(status.ephemeralContainerStatuses ?? []),
  ]
    .flatMap(({ containerID, state, lastState }) => [
      containerID,
      state?.terminated?.containerID,
      lastState?.terminated?.containerID,
    ])
    .flatMap((id) => id?.replace(/^[a-z0-9.-]+:\/\//, '') || [])
}
