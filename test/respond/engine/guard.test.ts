import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { checkNode, checkPod } from '../../../src/respond/engine/guard.ts'
import type { Cluster } from '../../../src/respond/kubernetes/cluster.ts'
import type { Manifest } from '../../support/helm.ts'
import { hasKubernetes, type Kubernetes, startKubernetes } from '../../support/kubernetes.ts'
import {
  CONTAINER_ID,
  clusterAt,
  nodeManifest,
  podManifest,
  shellAlert,
} from '../../support/targets.ts'
import { soon } from '../../support/wait.ts'

const SHORT = CONTAINER_ID.slice(0, 12)
const OTHER = 'f'.repeat(64)
const statusOf = (...containers: Manifest[]) => ({
  containerStatuses: containers.map((container, index) => ({
    name: index === 0 ? 'main' : `c${index}`,
    image: 'busybox',
    imageID: '',
    ready: true,
    restartCount: 0,
    ...container,
  })),
})

describe.skipIf(!hasKubernetes)('with a real API server', () => {
  let kubernetes: Kubernetes
  let cluster: Cluster

  beforeAll(async () => {
    kubernetes = await startKubernetes()
    kubernetes.namespace('shop')
    cluster = clusterAt(kubernetes.kubeconfig)
  })
  afterAll(() => kubernetes?.[Symbol.asyncDispose]())

  const check = (fields: Record<string, unknown>, more = {}, protectedNamespaces = ['falco']) =>
    checkPod(cluster, shellAlert(fields, more), protectedNamespaces, soon())
  const named = (name: string, fields = {}) => ({
    'k8s.ns.name': 'shop',
    'k8s.pod.name': name,
    ...fields,
  })
  const targetOf = ({ metadata, spec }: Manifest) => ({
    namespace: 'shop',
    name: metadata.name,
    uid: metadata.uid,
    nodeName: spec.nodeName,
  })

  it('finds the pod by its container, however it is listed', async () => {
    const containerID = `containerd://${CONTAINER_ID}`
    const ended = { terminated: { exitCode: 0, containerID } }
    const is = { containerID: `containerd://${OTHER}` }
    const statuses: Manifest[] = [
      statusOf({ containerID }),
      statusOf({ ...is, lastState: ended }),
      statusOf({ ...is, state: ended }),
      { initContainerStatuses: statusOf({ containerID }).containerStatuses, ...statusOf(is) },
      { ephemeralContainerStatuses: statusOf({ containerID }).containerStatuses, ...statusOf(is) },
    ]
    for (const [index, status] of statuses.entries()) {
      const [pod] = kubernetes.apply(podManifest('shop', `by-container-${index}`, { status }))
      // That the hosts differ does not matter: the container is the proof.
      const fields = named(`by-container-${index}`, { 'container.id': SHORT })
      expect(await check(fields, { hostname: 'node-9' })).toEqual(targetOf(pod!))
    }
    expect(await check(named('by-container-1', { 'container.id': 'a1b2c3' }))).toMatch(/not one of/)
    expect(await check(named('by-container-1', { 'container.id': '012345678901' }))).toBe(
      'the container of the alert is not one of this pod',
    )
  })

  it('finds it by its node where no container is known', async () => {
    const [starting] = kubernetes.apply(podManifest('shop', 'starting'))
    const [running] = kubernetes.apply(
      podManifest('shop', 'running', { status: statusOf({ containerID: `cri-o://${OTHER}` }) }),
    )
    kubernetes.apply(podManifest('shop', 'pending', { nodeName: '' }))
    // The pod tells of no container yet; the alert tells of none.
    expect(await check(named('starting', { 'container.id': SHORT }))).toEqual(targetOf(starting!))
    expect(await check(named('running', { 'container.id': null }))).toEqual(targetOf(running!))
    expect(await check(named('running'), { hostname: 'node-2' })).toBe(
      'the pod is not on the node of the alert',
    )
    const unknown = 'neither a container nor a node shows that the pod is the one of the alert'
    expect(await check(named('running'), { hostname: null })).toBe(unknown)
    expect(await check(named('pending'))).toBe(unknown)
  })

  it('does not act upon what is not there, is newer, or says nothing', async () => {
    kubernetes.apply(podManifest('shop', 'new'))
    expect(await check(named('never-was'))).toBe('there is no pod shop/never-was')
    expect(await check({ 'k8s.ns.name': 'shop', 'k8s.pod.name': null })).toBe(
      'the alert names no pod',
    )
    const minuteAgo = new Date(Date.now() - 60_000).toISOString()
    expect(await check(named('new'), { time: minuteAgo })).toBe('the pod is newer than the alert')
    const secondAgo = new Date(Date.now() - 1_000).toISOString()
    expect(await check(named('new'), { time: secondAgo })).toMatchObject({ name: 'new' })
    for (const time of [undefined, null, 'yesterday', 7])
      expect(await check(named('new'), { time })).toBe('the alert does not say when it was raised')
  })

  it('asks nothing about a protected namespace', async () => {
    const powerless = clusterAt(await kubernetes.userWith([]))
    const alert = shellAlert({ 'k8s.ns.name': 'falco', 'k8s.pod.name': 'falco-x' })
    expect(await checkPod(powerless, alert, ['kube-system', 'falco'], soon())).toBe(
      'the namespace falco is protected',
    )
    // While it may not ask about others.
    await expect(checkPod(powerless, alert, [], soon())).rejects.toThrow(/^get pods: .*forbidden/)
  })

  it('takes the word of the audit log', async () => {
    const [pod] = kubernetes.apply(podManifest('shop', 'audited'))
    const fields = {
      'ka.target.namespace': 'shop',
      'ka.target.resource': 'pods',
      'ka.target.name': 'audited',
    }
    const more = { source: 'k8s_audit', hostname: 'collector' }
    expect(await check(fields, more)).toEqual(targetOf(pod!))
    const time = new Date(Date.now() - 60_000).toISOString()
    expect(await check(fields, { ...more, time })).toBe('the pod is newer than the alert')
    expect(await check(fields, more, ['shop'])).toBe('the namespace shop is protected')
  })

  it('finds the node', async () => {
    const [node] = kubernetes.apply(nodeManifest('node-1'))
    const checked = (more: object) => checkNode(cluster, shellAlert({}, { ...more }), soon())
    expect(await checked({})).toEqual({ name: 'node-1', uid: node!.metadata.uid })
    expect(await checked({ hostname: 'node-2' })).toBe('there is no node node-2')
    expect(await checked({ hostname: null })).toBe('the alert names no node')
    expect(await checked({ source: 'k8s_audit' })).toBe('the alert names no node')
    expect(await checked({ time: new Date(0).toISOString() })).toBe(
      'the node is newer than the alert',
    )
  })
})
