// Pods and nodes on a real API server, for the tests of one file.

import { afterAll, beforeAll } from 'vitest'
import type { Cluster } from '../../src/respond/kubernetes/cluster.ts'
import type { Manifest } from './helm.ts'
import { type Kubernetes, startKubernetes } from './kubernetes.ts'
import { contextOf } from './step-context.ts'
import { clusterAt, nodeManifest, nodeTarget, podManifest, podTarget } from './targets.ts'

/** Starts the API server before the tests around the call, and ends it after them. */
export function liveTargets() {
  let kubernetes: Kubernetes
  let cluster: Cluster
  let made = 0

  beforeAll(async () => {
    kubernetes = await startKubernetes()
    cluster = clusterAt(kubernetes.kubeconfig)
  })
  afterAll(() => kubernetes?.[Symbol.asyncDispose]())

  return {
    get kubernetes() {
      return kubernetes
    },
    get cluster() {
      return cluster
    },

    /** A pod in a namespace of its own. */
    somePod(more: Manifest = {}) {
      const namespace = `shop-${++made}`
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
      const name = `node-${++made}`
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
