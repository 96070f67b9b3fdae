// delete-pod, isolate-pod and label-pod, upon pods of a real API server, and the Events that tell of it.

import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { Cluster } from '../../../src/respond/kubernetes/cluster.ts'
import { noteOnPod } from '../../../src/respond/kubernetes/pod-event.ts'
import { deletePod } from '../../../src/respond/steps/delete-pod.ts'
import { isolatePod } from '../../../src/respond/steps/isolate-pod.ts'
import { labelPod } from '../../../src/respond/steps/label-pod.ts'
import type { Manifest } from '../../support/helm.ts'
import { hasKubernetes, type Kubernetes, startKubernetes } from '../../support/kubernetes.ts'
import { contextOf, run } from '../../support/step-context.ts'
import { clusterAt, podManifest, podTarget } from '../../support/targets.ts'

const POLICY = 'falco-nats-isolate'
const ISOLATED = 'falco-nats.io/isolated'
const UNTIL = 'falco-nats.io/isolated-until'

describe.skipIf(!hasKubernetes)('with a real API server', () => {
  let kubernetes: Kubernetes
  let cluster: Cluster
  let namespaces = 0

  beforeAll(async () => {
    kubernetes = await startKubernetes()
    cluster = clusterAt(kubernetes.kubeconfig)
  })
  afterAll(() => kubernetes?.[Symbol.asyncDispose]())

  /** A pod in a namespace of its own. */
  function somePod(more: Manifest = {}) {
    const namespace = `shop-${++namespaces}`
    kubernetes.namespace(namespace)
    const [pod] = kubernetes.apply(podManifest(namespace, 'web', more))
    const target = podTarget(pod!)
    return {
      namespace,
      target,
      context: contextOf(cluster, { pod: target }),
      dry: contextOf(cluster, { pod: target, dryRun: true }),
      now: () => kubernetes.get('pod', 'web', namespace),
    }
  }
  const replace = (namespace: string) => {
    kubernetes.remove('pod', 'web', namespace)
    kubernetes.apply(podManifest(namespace, 'web'))
  }

  describe('delete-pod', () => {
    it('deletes, with the grace that is asked for', async () => {
      const { namespace, context, dry, now } = somePod()
      expect(await run(deletePod, {}, dry)).toEqual({
        outcome: 'dry_run',
        detail: `would delete the pod ${namespace}/web`,
      })
      expect(now()!.metadata.deletionTimestamp).toBeUndefined()
      expect(await run(deletePod, { gracePeriodSeconds: 7 }, context)).toEqual({
        outcome: 'ok',
        detail: `deleted the pod ${namespace}/web`,
      })
      expect(now()!.metadata).toMatchObject({
        deletionTimestamp: expect.any(String),
        deletionGracePeriodSeconds: 7,
      })
      expect(await run(deletePod, {}, context)).toEqual({
        outcome: 'skipped',
        detail: `the pod ${namespace}/web is being deleted already`,
      })
    })

    it('finds it gone the second time', async () => {
      const { context, now } = somePod()
      expect(await run(deletePod, { gracePeriodSeconds: 0 }, context)).toMatchObject({
        outcome: 'ok',
      })
      expect(now()).toBeUndefined()
      expect(await run(deletePod, {}, context)).toMatchObject({
        outcome: 'skipped',
        detail: expect.stringContaining('is gone'),
      })
    })

    it('leaves what nothing would re-create, unless told', async () => {
      const { context, now } = somePod({ owned: false })
      expect(await run(deletePod, {}, context)).toMatchObject({
        outcome: 'skipped',
        detail: expect.stringContaining('evenStandalone'),
      })
      expect(now()!.metadata.deletionTimestamp).toBeUndefined()
      const params = { evenStandalone: true, gracePeriodSeconds: 0 }
      expect(await run(deletePod, params, context)).toMatchObject({ outcome: 'ok' })
      expect(now()).toBeUndefined()
    })

    it('leaves what a node runs from a file', async () => {
      const { context, now } = somePod({ annotations: { 'kubernetes.io/config.mirror': 'x' } })
      expect(await run(deletePod, { evenStandalone: true }, context)).toMatchObject({
        outcome: 'skipped',
        detail: expect.stringContaining('from a file'),
      })
      expect(now()!.metadata.deletionTimestamp).toBeUndefined()
    })

    it('leaves another pod of the same name, even where it comes in between', async () => {
      const { namespace, target, context, now } = somePod()
      replace(namespace)
      expect(await run(deletePod, {}, context)).toMatchObject({ outcome: 'skipped' })
      const options = { gracePeriodSeconds: 0 }
      expect(await cluster.deletePod(target, options, context.signal)).toBe(false)
      expect(now()!.metadata.deletionTimestamp).toBeUndefined()
    })

    it.each([{ gracePeriodSeconds: -1 }, { gracePeriodSeconds: 1.5 }, { graceperiodseconds: 1 }])(
      'does not take %j',
      (params) => expect(deletePod.params.safeParse(params).success).toBe(false),
    )
  })

  describe('isolate-pod', () => {
    it('makes one policy, then labels that one pod', async () => {
      const { namespace, context, dry, now } = somePod()
      kubernetes.apply(podManifest(namespace, 'other'))
      expect(await run(isolatePod, {}, dry)).toEqual({
        outcome: 'dry_run',
        detail: `would isolate the pod ${namespace}/web`,
      })
      expect(kubernetes.list('networkpolicy', namespace)).toEqual([])
      expect(now()!.metadata.labels).toBeUndefined()

      const done = await run(isolatePod, {}, context)
      expect(done).toEqual({ outcome: 'ok', detail: `isolated the pod ${namespace}/web` })
      const [policy, ...others] = kubernetes.list('networkpolicy', namespace)
      expect(others).toEqual([])
      expect(policy!.metadata).toMatchObject({
        name: POLICY,
        labels: { 'app.kubernetes.io/managed-by': 'falco-nats' },
      })
      expect(policy!.spec).toEqual({
        podSelector: { matchLabels: { [ISOLATED]: 'true' } },
        policyTypes: ['Ingress', 'Egress'],
      })
      const pod = now()!
      expect(pod.metadata.labels).toEqual({ [ISOLATED]: 'true' })
      expect(pod.metadata.annotations?.[UNTIL]).toBeUndefined()
      expect(kubernetes.get('pod', 'other', namespace)!.metadata.labels).toBeUndefined()

      expect(await run(isolatePod, {}, context)).toEqual({
        outcome: 'ok',
        detail: `the pod ${namespace}/web is isolated already`,
      })
      expect(now()!.metadata.resourceVersion).toBe(pod.metadata.resourceVersion)
    })

    it('shares the policy with the next pod, and makes it anew when it is gone', async () => {
      const { namespace, context } = somePod()
      await run(isolatePod, {}, context)
      const [other] = kubernetes.apply(podManifest(namespace, 'other'))
      await run(isolatePod, {}, contextOf(cluster, { pod: podTarget(other!) }))
      expect(kubernetes.get('pod', 'other', namespace)!.metadata.labels).toEqual({
        [ISOLATED]: 'true',
      })
      kubernetes.remove('networkpolicy', POLICY, namespace)
      expect((await run(isolatePod, {}, context)).detail).toBe(`isolated the pod ${namespace}/web`)
      expect(kubernetes.list('networkpolicy', namespace)).toHaveLength(1)
    })

    it('notes until when, and never cuts short what another asked for', async () => {
      const { context, now } = somePod()
      const until = () => Date.parse(now()!.metadata.annotations?.[UNTIL])
      const before = Date.now()
      expect((await run(isolatePod, { ttl: '1h' }, context)).detail).toMatch(
        /isolated the pod .* until 20\d\d-.*Z$/,
      )
      expect(until() - before).toBeGreaterThanOrEqual(3_600_000)
      const first = until()
      expect((await run(isolatePod, { ttl: '1m' }, context)).detail).toMatch(/already until/)
      expect(until()).toBe(first)
      await run(isolatePod, { ttl: '2h' }, context)
      expect(until() - before).toBeGreaterThanOrEqual(7_200_000)
      await run(isolatePod, {}, context)
      expect(now()!.metadata.annotations?.[UNTIL]).toBeUndefined()
      expect((await run(isolatePod, { ttl: '1h' }, context)).detail).toMatch(/isolated already$/)
      expect(now()!.metadata.labels).toEqual({ [ISOLATED]: 'true' })
    })

    const ours = {
      podSelector: { matchLabels: { [ISOLATED]: 'true' } },
      policyTypes: ['Ingress', 'Egress'],
    }
    const managed = { 'app.kubernetes.io/managed-by': 'falco-nats' }
    it.each([
      ['a policy without our label', {}, ours],
      ['a policy that selects all', managed, { ...ours, podSelector: {} }],
      ['a policy that allows', managed, { ...ours, egress: [{}] }],
      ['a policy of one direction', managed, { ...ours, policyTypes: ['Ingress'] }],
    ])('leaves %s alone, and the pod', async (_, labels, spec) => {
      const { namespace, context, dry, now } = somePod()
      const [theirs] = kubernetes.apply({
        apiVersion: 'networking.k8s.io/v1',
        kind: 'NetworkPolicy',
        metadata: { name: POLICY, namespace, labels },
        spec,
      })
      for (const each of [dry, context])
        await expect(run(isolatePod, {}, each)).rejects.toMatchObject({
          message: expect.stringContaining(`${namespace}/${POLICY} is not as this step makes it`),
          retryable: false,
        })
      expect(kubernetes.list('networkpolicy', namespace)).toEqual([theirs])
      expect(now()!.metadata.labels).toBeUndefined()
    })

    it('does not say that it isolates what uses the network of its node', async () => {
      const { namespace, context, now } = somePod({ spec: { hostNetwork: true } })
      expect(await run(isolatePod, {}, context)).toMatchObject({
        outcome: 'skipped',
        detail: expect.stringContaining('no NetworkPolicy cuts off'),
      })
      expect(kubernetes.list('networkpolicy', namespace)).toEqual([])
      expect(now()!.metadata.labels).toBeUndefined()
    })

    it('does not label another pod of the same name', async () => {
      const { namespace, target, context, now } = somePod()
      replace(namespace)
      expect(await run(isolatePod, {}, context)).toMatchObject({ outcome: 'skipped' })
      const patch = { metadata: { labels: { [ISOLATED]: 'true' } } }
      expect(await cluster.patchPod(target, patch, context.signal)).toBe(false)
      expect(now()!.metadata.labels).toBeUndefined()
    })

    it.each([{ ttl: '0s' }, { ttl: 'soon' }, { ttl: 5 }, { for: '5m' }])(
      'does not take %j',
      (params) => expect(isolatePod.params.safeParse(params).success).toBe(false),
    )
  })

  describe('label-pod', () => {
    it('sets labels and leaves the others', async () => {
      const { namespace, context, dry, now } = somePod({ labels: { app: 'web', seen: 'no' } })
      const params = { labels: { seen: 'yes', 'example.org/by': 'falco' } }
      expect(await run(labelPod, params, dry)).toEqual({
        outcome: 'dry_run',
        detail: `would label the pod ${namespace}/web with seen=yes, example.org/by=falco`,
      })
      expect(now()!.metadata.labels).toEqual({ app: 'web', seen: 'no' })
      expect(await run(labelPod, params, context)).toMatchObject({ outcome: 'ok' })
      expect(now()!.metadata.labels).toEqual({ app: 'web', ...params.labels })
      expect((await run(labelPod, params, context)).detail).toMatch(/already$/)
    })

    it.each([
      {},
      { labels: {} },
      { labels: { a: 'b c' } },
      { labels: { 'a/b/c': 'd' } },
      { labels: { '-a': 'b' } },
      { labels: { a: 'x'.repeat(64) } },
      { labels: { '/a': 'b' } },
      { labels: { a: 1 } },
    ])('does not take %j', (params) =>
      expect(labelPod.params.safeParse(params).success).toBe(false),
    )

    it('takes what Kubernetes takes', async () => {
      const { context, now } = somePod()
      const labels = { 'a.example.org/B_c-d.e': '', z9: 'X_y.z-0' }
      await run(labelPod, { labels }, context)
      expect(now()!.metadata.labels).toEqual(labels)
    })
  })

  it('leaves an Event on the pod', async () => {
    const { namespace, target, context } = somePod()
    const note = { reason: 'FalcoNatsIsolatePod', message: `a\u202eb${'c'.repeat(2000)}` } as const
    await noteOnPod(cluster, target, { ...note, type: 'Warning' }, context.signal)
    const [event, ...others] = kubernetes.list('event', namespace)
    expect(others).toEqual([])
    expect(event).toMatchObject({
      involvedObject: { kind: 'Pod', namespace, name: 'web', uid: target.uid },
      reason: 'FalcoNatsIsolatePod',
      type: 'Warning',
      reportingComponent: 'falco-nats',
      message: expect.stringMatching(/^a\\u\{202e\}bc+\.{3}$/),
    })
  })
})
