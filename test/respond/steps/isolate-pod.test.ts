// isolate-pod, upon a real API server.

import { describe, expect, it } from 'vitest'
import { liftExpiredIsolation } from '../../../src/respond/engine/lift-isolation.ts'
import { isolatePod } from '../../../src/respond/steps/isolate-pod.ts'
import { hasKubernetes } from '../../support/kubernetes.ts'
import { liveTargets } from '../../support/live-targets.ts'
import { contextOf, run } from '../../support/step-context.ts'
import { clusterAt, podManifest, podTarget } from '../../support/targets.ts'
import { until } from '../../support/wait.ts'

const POLICY = 'falco-nats-isolate'
const ISOLATED = 'falco-nats.io/isolated'
const UNTIL = 'falco-nats.io/isolated-until'

describe.skipIf(!hasKubernetes)('isolate-pod', () => {
  const live = liveTargets()

  it('makes one policy, then labels that one pod', async () => {
    const { namespace, context, dry, now } = live.somePod()
    live.kubernetes.apply(podManifest(namespace, 'other'))
    expect(await run(isolatePod, {}, dry)).toEqual({
      outcome: 'dry_run',
      detail: `would isolate the pod ${namespace}/web`,
    })
    expect(live.kubernetes.list('networkpolicy', namespace)).toEqual([])
    expect(now()!.metadata.labels).toBeUndefined()

    const done = await run(isolatePod, {}, context)
    expect(done).toEqual({ outcome: 'ok', detail: `isolated the pod ${namespace}/web` })
    const [policy, ...others] = live.kubernetes.list('networkpolicy', namespace)
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
    expect(live.kubernetes.get('pod', 'other', namespace)!.metadata.labels).toBeUndefined()

    expect(await run(isolatePod, {}, context)).toEqual({
      outcome: 'ok',
      detail: `the pod ${namespace}/web is isolated already`,
    })
    expect(now()!.metadata.resourceVersion).toBe(pod.metadata.resourceVersion)
  })

  it('shares the policy with the next pod, and makes it anew when it is gone', async () => {
    const { namespace, context } = live.somePod()
    await run(isolatePod, {}, context)
    const [other] = live.kubernetes.apply(podManifest(namespace, 'other'))
    await run(isolatePod, {}, contextOf(live.cluster, { pod: podTarget(other!) }))
    expect(live.kubernetes.get('pod', 'other', namespace)!.metadata.labels).toEqual({
      [ISOLATED]: 'true',
    })
    live.kubernetes.remove('networkpolicy', POLICY, namespace)
    expect((await run(isolatePod, {}, context)).detail).toBe(`isolated the pod ${namespace}/web`)
    expect(live.kubernetes.list('networkpolicy', namespace)).toHaveLength(1)
  })

  it('notes until when, and never cuts short what another asked for', async () => {
    const { context, now } = live.somePod()
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
    const { namespace, context, dry, now } = live.somePod()
    const [theirs] = live.kubernetes.apply({
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
    expect(live.kubernetes.list('networkpolicy', namespace)).toEqual([theirs])
    expect(now()!.metadata.labels).toBeUndefined()
  })

  it('does not say that it isolates what uses the network of its node', async () => {
    const { namespace, context, now } = live.somePod({ spec: { hostNetwork: true } })
    expect(await run(isolatePod, {}, context)).toMatchObject({
      outcome: 'skipped',
      detail: expect.stringContaining('no NetworkPolicy cuts off'),
    })
    expect(live.kubernetes.list('networkpolicy', namespace)).toEqual([])
    expect(now()!.metadata.labels).toBeUndefined()
  })

  it('does not label another pod of the same name', async () => {
    const { target, context, now, replace } = live.somePod()
    replace()
    expect(await run(isolatePod, {}, context)).toMatchObject({ outcome: 'skipped' })
    const patch = { metadata: { labels: { [ISOLATED]: 'true' } } }
    expect(await live.cluster.patchPod(target, patch, context.signal)).toBe(false)
    expect(now()!.metadata.labels).toBeUndefined()
  })

  it.each([{ ttl: '0s' }, { ttl: 'soon' }, { ttl: 5 }, { for: '5m' }])(
    'does not take %j',
    (params) => expect(isolatePod.params.safeParse(params).success).toBe(false),
  )

  it('lifts isolation with the rules of a ttl, and says so without', async () => {
    const rules = isolatePod.rules({ ttl: 3_600_000 })
    const list = [{ apiGroups: [''], resources: ['pods'], verbs: ['list'] }]
    expect(rules).toContainEqual({ ...list[0], verbs: ['list', 'patch'] })
    const lines: string[] = []
    const { log } = contextOf(live.cluster)
    const telling = Object.assign(Object.create(log), {
      warn: ({ err }: { err: string }) => lines.push(err),
    })
    const outdated = {
      labels: { 'falco-nats.io/isolated': 'true' },
      annotations: { 'falco-nats.io/isolated-until': '2026-01-01T00:00:00Z' },
    }
    live.kubernetes.apply(podManifest('default', 'isolated', outdated))
    const now = () => live.kubernetes.get('pod', 'isolated', 'default')!.metadata

    for (const [allowed, seen] of [
      [[], () => lines.some((line) => /^list pods: .*forbidden/.test(line))],
      [list, () => lines.some((line) => /^patch pods: .*forbidden/.test(line))],
      [rules, () => now().labels === undefined],
    ] as const) {
      const stop = new AbortController()
      const cluster = clusterAt(await live.kubernetes.userWith(allowed))
      const options = { signal: stop.signal, log: telling, dryRun: false, everyMs: 50 }
      const lifting = liftExpiredIsolation(cluster, options)
      await until(`what it may is seen: ${allowed.length}`, seen)
      stop.abort()
      await lifting
    }
    expect(now().annotations?.['falco-nats.io/isolated-until']).toBeUndefined()
    // However often it looks.
    expect(lines).toHaveLength(2)
  })
})
