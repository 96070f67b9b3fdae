// The parts of Kubernetes' objects that are looked at here, as the API server writes them in JSON.

import type * as client from '@kubernetes/client-node'

/** Times are text, which the client would make Dates; and of what is there, some is there always. */
export interface Metadata
  extends Pick<client.V1ObjectMeta, 'namespace' | 'labels' | 'annotations' | 'ownerReferences'> {
  readonly name: string
  readonly uid: string
  readonly resourceVersion: string
  readonly creationTimestamp: string
  readonly deletionTimestamp?: string
}

interface KubernetesObject<Spec> {
  readonly metadata: Metadata
  readonly spec: Spec
}

export interface Pod extends KubernetesObject<client.V1PodSpec> {
  readonly status?: client.V1PodStatus
}
export type Node = KubernetesObject<client.V1NodeSpec>
export type NetworkPolicy = KubernetesObject<client.V1NetworkPolicySpec>

/** On all that we make. */
export const MANAGED_BY = { 'app.kubernetes.io/managed-by': 'falco-nats' } as const
/** On a pod that is cut off: what the deny-all policy selects. */
export const ISOLATED_LABEL = 'falco-nats.io/isolated'
/** Beside it, when it is to be lifted: a time of ISO 8601. */
export const ISOLATED_UNTIL = 'falco-nats.io/isolated-until'
