// That isolation is lifted in time, from pods of a real API server. What becomes of missing permissions is
// in steps/isolate-pod.test.ts.

import { pino } from 'pino'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { liftExpiredIsolation } from '../../../src/respond/engine/lift-isolation.ts'
import type { Cluster } from '../../../src/respond/kubernetes/cluster.ts'
import { clusterOf } from '../../support/api-server.ts'
import type { Manifest } from '../../support/helm.ts'
import { hasKubernetes, type Kubernetes, startKubernetes } from '../../support/kubernetes.ts'
import { freePort } from '../../support/nats.ts'
import { clusterAt, podManifest } from '../../support/targets.ts'
import { until } from '../../support/wait.ts'

const ISOLATED = 'falco-nats.io/isolated'
const UNTIL = 'falco-nats.io/isolated-until'

/** As many as there may be replicas; stopped when the scope ends. */
function lifting(clusters: readonly Cluster[], { dryRun = false } = {}) {
  const lines: Record<string, unknown>[] = []
  const log = pino({ level: 'debug' }, { write: (line) => void lines.push(JSON.parse(line)) })
  const stop = new AbortController()
  const options = { signal: stop.signal, log, dryRun, everyMs: 20 }
  const all = Promise.all(clusters.map((cluster) => liftExpiredIsolation(cluster, options)))
  return {
    lines,
    logged: (text: string) => lines.filter(({ msg }) => String(msg).startsWith(text)),
    async [Symbol.asyncDispose]() {
      stop.abort()
      await all
    },
  }
}

describe.skipIf(!hasKubernetes)('with a real API server', () => {
  let kubernetes: Kubernetes
  let cluster: Cluster

  beforeAll(async () => {
    kubernetes = await startKubernetes()
    for (const name of ['shop', 'bank']) kubernetes.namespace(name)
    cluster = clusterAt(kubernetes.kubeconfig)
  })
  afterAll(() => kubernetes?.[Symbol.asyncDispose]())

  function isolated(namespace: string, name: string, time: string | undefined): Manifest {
    const annotations = { keep: 'this', ...(time === undefined ? {} : { [UNTIL]: time }) }
    const labels = { app: 'web', [ISOLATED]: 'true' }
    return kubernetes.apply(podManifest(namespace, name, { labels, annotations }))[0]!
  }
  const now = (namespace: string, name: string) =>
    kubernetes.get('pod', name, namespace)!.metadata as Manifest
  const inMs = (ms: number) => new Date(Date.now() + ms).toISOString()

  it('lifts what is over, everywhere, and nothing else', async () => {
    isolated('shop', 'over', inMs(-60_000))
    isolated('bank', 'over', inMs(-1))
    const rest = [
      isolated('shop', 'later', inMs(3_600_000)),
      isolated('shop', 'for-good', undefined),
      isolated('shop', 'unreadable', 'tomorrow'),
    ]
    // Several replicas do so at once.
    const replicas = [1, 2, 3].map(() => clusterAt(kubernetes.kubeconfig))
    await using lifts = lifting(replicas)
    for (const namespace of ['shop', 'bank']) {
      await until(`it is lifted in ${namespace}`, () => !now(namespace, 'over').labels[ISOLATED])
      expect(now(namespace, 'over').labels).toEqual({ app: 'web' })
      expect(now(namespace, 'over').annotations[UNTIL]).toBeUndefined()
      expect(now(namespace, 'over').annotations.keep).toBe('this')
    }
    for (const { metadata } of rest)
      expect(now('shop', metadata.name).resourceVersion).toBe(metadata.resourceVersion)
    await until('both are logged', () => lifts.logged('lifted').length > 1)
    expect(lifts.logged('lifted')).toHaveLength(2)
    expect(lifts.lines.filter(({ level }) => Number(level) >= 40)).toEqual([])
  })

  it('lifts when the time comes', async () => {
    const time = inMs(1_500)
    isolated('shop', 'soon', time)
    await using lifts = lifting([cluster])
    const line = await until('it is lifted', () => lifts.logged('lifted')[0])
    expect(line).toMatchObject({ namespace: 'shop', pod: 'soon' })
    expect(line.time).toBeGreaterThanOrEqual(Date.parse(time))
    expect(now('shop', 'soon').labels).toEqual({ app: 'web' })
  })

  it('does not lift what was isolated for longer in between', async () => {
    isolated('bank', 'again', inMs(-1_000))
    let extended = 0
    // Somebody is faster than each patch.
    const raced: Cluster = {
      ...cluster,
      async patchPod(pod, patch, signal, resourceVersion) {
        extended++
        const annotations = { [UNTIL]: inMs(3_600_000) }
        await cluster.patchPod(pod, { metadata: { annotations } }, signal)
        return cluster.patchPod(pod, patch, signal, resourceVersion)
      },
    }
    await using lifts = lifting([raced])
    await until('it cannot', () => lifts.logged('cannot lift').length)
    expect(extended).toBe(1)
    expect(now('bank', 'again').labels[ISOLATED]).toBe('true')
    expect(lifts.logged('lifted')).toEqual([])
  })

  it('only says so in a dry run, once', async () => {
    const { metadata } = isolated('shop', 'dry', inMs(-1_000))
    let looks = 0
    const counting: Cluster = {
      ...cluster,
      podsWithLabel: (...args) => {
        looks++
        return cluster.podsWithLabel(...args)
      },
    }
    await using lifts = lifting([counting], { dryRun: true })
    await until('it has looked often', () => looks > 3)
    expect(lifts.logged('would lift')).toMatchObject([{ namespace: 'shop', pod: 'dry' }])
    expect(now('shop', 'dry').resourceVersion).toBe(metadata.resourceVersion)
  })
})

it('goes on while the API server is dead, and says so once', async () => {
  await using lifts = lifting([clusterOf(`http://127.0.0.1:${await freePort()}`)])
  await until('it has tried often', () => lifts.logged('cannot look').length > 3)
  expect(
    lifts
      .logged('cannot look')
      .map(({ level }) => level)
      .slice(0, 3),
  ).toEqual([40, 20, 20])
  expect(lifts.lines[0]).toMatchObject({ err: expect.stringMatching(/^list pods: .*ECONNREFUSED/) })
})
