// The parts of Kubernetes' objects that are looked at here, as the API server writes them in JSON.

export interface Metadata {
  readonly name: string
  readonly namespace?: string
  readonly uid: string
  readonly resourceVersion: string
  readonly creationTimestamp: string
  readonly deletionTimestamp?: string
  readonly labels?: Readonly<Record<string, string>>
  readonly annotations?: Readonly<Record<string, string>>
  readonly ownerReferences?: readonly { readonly controller?: boolean }[]
}

export interface ContainerState {
  readonly terminated?: { readonly containerID?: string }
}

export interface ContainerStatus {
  readonly name: string
  /** `containerd://<64 hex>`; empty until it has one. */
  readonly containerID?: string
  readonly state?: ContainerState
  readonly lastState?: ContainerState
}

export interface Pod {
  readonly metadata: Metadata
  readonly spec: {
    readonly nodeName?: string
    readonly hostNetwork?: boolean
    readonly containers: readonly { readonly name: string }[]
    readonly initContainers?: readonly { readonly name: string }[]
    readonly ephemeralContainers?: readonly { readonly name: string }[]
  }
  readonly status?: {
    readonly containerStatuses?: readonly ContainerStatus[]
    readonly initContainerStatuses?: readonly ContainerStatus[]
    readonly ephemeralContainerStatuses?: readonly ContainerStatus[]
  }
}

export interface Taint {
  readonly key: string
  readonly value?: string
  readonly effect: string
}

export interface Node {
  readonly metadata: Metadata
  readonly spec: { readonly taints?: readonly Taint[]; readonly unschedulable?: boolean }
}

export interface NetworkPolicy {
  readonly metadata: Metadata
  readonly spec: {
    readonly podSelector?: {
      readonly matchLabels?: Readonly<Record<string, string>>
      readonly matchExpressions?: readonly unknown[]
    }
    readonly policyTypes?: readonly string[]
    readonly ingress?: readonly unknown[]
    readonly egress?: readonly unknown[]
  }
}

/** On all that we make. */
export const MANAGED_BY = { 'app.kubernetes.io/managed-by': 'falco-nats' } as const

/** On a pod that is cut off: what the deny-all policy selects. */
export const ISOLATED_LABEL = 'falco-nats.io/isolated'
/** Beside it, when it is to be lifted: a time of ISO 8601. */
export const ISOLATED_UNTIL = 'falco-nats.io/isolated-until'
