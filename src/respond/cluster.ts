// The Kubernetes API, as far as steps need it. Opened once, when the first step needs it.

/** Opaque to whoever does not act on it. */
export interface Cluster {
  readonly _todo?: never
}

/** From KUBECONFIG, the service account, or ~/.kube/config. Throws a StepError. */
export function openCluster(): Cluster {
  throw new Error('not yet')
}
