// Pods and nodes on the API server that the tests of all steps share.

import { randomUUID } from 'node:crypto'
import { beforeAll, inject } from 'vitest'
import type { Cluster } from '../../src/respond/kubernetes/cluster.ts'
import type { Manifest } from './helm.ts'
import { kubernetesAt } from './kubernetes.ts'
import { contextOf } from './step-context.ts'
import { clusterAt, nodeManifest, nodeTarget, podManifest, podTarget } from './targets.ts'

/** For the tests around the call; each target has a name of its own. */
export function liveTargets() {
  let kubernetes: ReturnType<typeof kubernetesAt>
  let cluster: Cluster
  const unique = randomUUID().slice(0, 8)
  let made = 0

  beforeAll(() => {
    kubernetes = kubernetesAt(inject('kubeconfig'))
    cluster = clusterAt(kubernetes.kubeconfig)
  })

  return {
    get kubernetes() {
      return kubernetes
    },
    get cluster() {
      return cluster
    },

    /** A pod in a namespace of its own. */
    somePod(more: Manifest = {}) {
      const namespace = `shop-${unique}-${++made}`
      kubernetes.namespace(namespace)
      const [pod] = kubernetes.apply(podManifest(namespace, 'web', more))
      const target = podTarget(pod!)
      return {
        namespace,
        target,
        context: contextOf(cluster, { pod: target }),
        dry: contextOf(cluster, { pod: target, dryRun: true }),
        now: () => kubernetes.get('pod', 'web', namespace),
        /** With another one of its name. */
        replace: () => {
          kubernetes.remove('pod', 'web', namespace)
          kubernetes.apply(podManifest(namespace, 'web'))
        },
      }
    },

    someNode(spec: Manifest = {}) {
      const name = `node-${unique}-${++made}`
      const [node] = kubernetes.apply({ ...nodeManifest(name), spec })
      const target = nodeTarget(node!)
      return {
        name,
        target,
        context: contextOf(cluster, { node: target }),
        dry: contextOf(cluster, { node: target, dryRun: true }),
        now: () => kubernetes.get('node', name)!,
        replace: () => {
          kubernetes.remove('node', name)
          kubernetes.apply(nodeManifest(name))
        },
      }
    },
  }
}
