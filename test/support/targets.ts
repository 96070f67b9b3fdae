// Clusters, and pods and nodes to act upon.

import { type Cluster, openCluster } from '../../src/respond/kubernetes/cluster.ts'
import type { NodeTarget, PodTarget } from '../../src/respond/kubernetes/target.ts'
import type { Manifest } from './helm.ts'

export const CONTAINER_ID = 'a1b2c3d4e5f60718293a4b5c6d7e8f90a1b2c3d4e5f60718293a4b5c6d7e8f90'

/** As the program would open it, were this its kubeconfig. */
export function clusterAt(kubeconfig: string): Cluster {
  const before = process.env.KUBECONFIG
  process.env.KUBECONFIG = kubeconfig
  try {
    return openCluster()
  } finally {
    if (before === undefined) delete process.env.KUBECONFIG
    else process.env.KUBECONFIG = before
  }
}

/** Of a shell in a container, a little after now. */
export function shellAlert(fields: Record<string, unknown>, more: Record<string, unknown> = {}) {
  return {
    hostname: 'node-1',
    output_fields: fields,
    priority: 'Notice',
    rule: 'Terminal shell in container',
    source: 'syscall',
    time: new Date().toISOString(),
    ...more,
  }
}

export function podManifest(
  namespace: string,
  name: string,
  { nodeName = 'node-1', owned = true, status = {}, spec = {}, ...metadata }: Manifest = {},
): Manifest {
  const controller = { apiVersion: 'apps/v1', kind: 'ReplicaSet', name: 'web', uid: 'of-web' }
  return {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: {
      namespace,
      name,
      ...(owned ? { ownerReferences: [{ ...controller, controller: true }] } : {}),
      ...metadata,
    },
    spec: {
      ...(nodeName ? { nodeName } : {}),
      automountServiceAccountToken: false,
      containers: [{ name: 'main', image: 'busybox' }],
      ...spec,
    },
    status,
  }
}

export const nodeManifest = (name: string): Manifest => ({
  apiVersion: 'v1',
  kind: 'Node',
  metadata: { name },
})

export const podTarget = ({ metadata, spec }: Manifest): PodTarget => ({
  namespace: metadata.namespace,
  name: metadata.name,
  uid: metadata.uid,
  nodeName: spec.nodeName,
})

export const nodeTarget = ({ metadata }: Manifest): NodeTarget => ({
  name: metadata.name,
  uid: metadata.uid,
})
