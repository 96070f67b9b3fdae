// taint-node, cordon-node and run-job, upon nodes of a real API server.

import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { Cluster } from '../../../src/respond/kubernetes/cluster.ts'
import { cordonNode } from '../../../src/respond/steps/cordon-node.ts'
import { runJob } from '../../../src/respond/steps/run-job.ts'
import { taintNode } from '../../../src/respond/steps/taint-node.ts'
import type { Manifest } from '../../support/helm.ts'
import { hasKubernetes, type Kubernetes, startKubernetes } from '../../support/kubernetes.ts'
import { contextOf, ID, run } from '../../support/step-context.ts'
import { clusterAt, nodeManifest, nodeTarget } from '../../support/targets.ts'

const JOB = {
  metadata: { labels: { app: 'capture' } },
  spec: {
    backoffLimit: 0,
    template: { spec: { containers: [{ name: 'main', image: 'busybox' }] } },
  },
}

describe.skipIf(!hasKubernetes)('with a real API server', () => {
  let kubernetes: Kubernetes
  let cluster: Cluster
  let nodes = 0

  beforeAll(async () => {
    kubernetes = await startKubernetes()
    cluster = clusterAt(kubernetes.kubeconfig)
  })
  afterAll(() => kubernetes?.[Symbol.asyncDispose]())

  function someNode(spec: Manifest = {}) {
    const name = `node-${++nodes}`
    const [made] = kubernetes.apply({ ...nodeManifest(name), spec })
    const node = nodeTarget(made!)
    return {
      name,
      node,
      context: contextOf(cluster, { node }),
      dry: contextOf(cluster, { node, dryRun: true }),
      now: () => kubernetes.get('node', name)!,
      replace: () => {
        kubernetes.remove('node', name)
        kubernetes.apply(nodeManifest(name))
      },
    }
  }
  /** Without that of the API server itself, which takes every new node for one that is not ready. */
  const taintsOf = ({ spec }: Manifest): Manifest[] =>
    (spec.taints ?? []).filter(({ key }: Manifest) => key !== 'node.kubernetes.io/not-ready')

  describe('taint-node', () => {
    it('taints as the old engine did, and keeps other taints', async () => {
      const other = { key: 'dedicated', value: 'db', effect: 'NoSchedule' }
      const { name, context, dry, now } = someNode({ taints: [other] })
      const ours = { key: 'falco/alert', value: 'true', effect: 'NoSchedule' }
      expect(await run(taintNode, {}, dry)).toEqual({
        outcome: 'dry_run',
        detail: `would taint the node ${name} with falco/alert=true:NoSchedule`,
      })
      expect(taintsOf(now())).toEqual([other])
      const before = now().spec.taints
      expect(await run(taintNode, {}, context)).toEqual({
        outcome: 'ok',
        detail: `tainted the node ${name} with falco/alert=true:NoSchedule`,
      })
      expect(now().spec.taints).toEqual([...before, ours])
      expect(await run(taintNode, {}, context)).toEqual({
        outcome: 'ok',
        detail: `the node ${name} has falco/alert=true:NoSchedule already`,
      })
      // Another value takes its place, another effect stands beside it.
      await run(taintNode, { value: 'again' }, context)
      await run(taintNode, { effect: 'NoExecute' }, context)
      expect(taintsOf(now())).toEqual([
        other,
        { ...ours, value: 'again' },
        { ...ours, effect: 'NoExecute' },
      ])
    })

    it('loses no taint to a race', async () => {
      const { context, now } = someNode()
      const keys = ['a', 'b', 'c', 'd']
      await Promise.all(keys.map((key) => run(taintNode, { key }, context)))
      expect(
        taintsOf(now())
          .map(({ key }) => key)
          .sort(),
      ).toEqual(keys)
    })

    it('gives up on a node that others write to all the time, for now', async () => {
      const { name, node, context, now } = someNode()
      let writes = 0
      const busy: Cluster = {
        ...cluster,
        async node(...args) {
          const live = await cluster.node(...args)
          const patch = { metadata: { labels: { writes: String(++writes) } } }
          await cluster.patchNode(node, patch, context.signal)
          return live
        },
      }
      await expect(run(taintNode, {}, { ...context, cluster: () => busy })).rejects.toMatchObject({
        message: expect.stringMatching(new RegExp(`^patch nodes: .*${name}.*modified`)),
        retryable: true,
      })
      expect(writes).toBe(5)
      expect(taintsOf(now())).toEqual([])
    })

    it('leaves another node of the same name', async () => {
      const { context, now, replace, node } = someNode()
      replace()
      expect(await run(taintNode, {}, context)).toMatchObject({ outcome: 'skipped' })
      const patch = { spec: { unschedulable: true } }
      expect(await cluster.patchNode(node, patch, context.signal)).toBe(false)
      expect(taintsOf(now())).toEqual([])
      expect(now().spec.unschedulable).toBeUndefined()
    })

    it.each([{ effect: 'NoWay' }, { key: 'a b' }, { value: '-' }, { taint: 'a' }])(
      'does not take %j',
      (params) => expect(taintNode.params.safeParse(params).success).toBe(false),
    )
  })

  it('cordon-node cordons, once', async () => {
    const { name, context, dry, now, replace } = someNode()
    expect(await run(cordonNode, {}, dry)).toEqual({
      outcome: 'dry_run',
      detail: `would cordon the node ${name}`,
    })
    expect(now().spec.unschedulable).toBeUndefined()
    expect(await run(cordonNode, {}, context)).toEqual({
      outcome: 'ok',
      detail: `cordoned the node ${name}`,
    })
    expect(now().spec.unschedulable).toBe(true)
    expect((await run(cordonNode, {}, context)).detail).toBe(`the node ${name} is cordoned already`)
    replace()
    expect(await run(cordonNode, {}, context)).toMatchObject({ outcome: 'skipped' })
  })

  describe('run-job', () => {
    const jobs = (namespace: string) => kubernetes.list('job', namespace)

    it('runs it on the node, once for an alert', async () => {
      kubernetes.namespace('jobs-1')
      const { name, context, dry } = someNode()
      const params = { namespace: 'jobs-1', job: JOB }
      const would = await run(runJob, params, dry)
      expect(would.outcome).toBe('dry_run')
      expect(would.detail).toMatch(/^would run the job jobs-1\/falco-nats-on-call-[0-9a-f]{16} /)
      expect(jobs('jobs-1')).toEqual([])

      expect(await run(runJob, params, context)).toMatchObject({ outcome: 'ok' })
      const [job] = jobs('jobs-1')
      expect(job!.metadata).toMatchObject({
        name: expect.stringMatching(/^falco-nats-on-call-[0-9a-f]{16}$/),
        labels: { app: 'capture', 'app.kubernetes.io/managed-by': 'falco-nats' },
        annotations: { 'falco-nats.io/alert': ID },
      })
      expect(job!.spec).toMatchObject({ backoffLimit: 0, ttlSecondsAfterFinished: 3600 })
      expect(job!.spec.template.spec).toMatchObject({ nodeName: name, restartPolicy: 'Never' })

      expect((await run(runJob, params, context)).detail).toMatch(/is there already$/)
      expect(jobs('jobs-1')).toHaveLength(1)
      // Another step of the playbook, and another alert.
      const second = { ...JOB, metadata: { labels: { app: 'second' } } }
      await run(runJob, { ...params, job: second }, context)
      await run(runJob, params, { ...context, id: ID.toLowerCase(), playbook: 'x'.repeat(48) })
      expect(jobs('jobs-1')).toHaveLength(3)
    })

    it('runs it where we are, unless told', async () => {
      kubernetes.namespace('jobs-2')
      const { context } = someNode()
      process.env.POD_NAMESPACE = 'jobs-2'
      try {
        await run(runJob, { job: JOB }, context)
      } finally {
        delete process.env.POD_NAMESPACE
      }
      expect(jobs('jobs-2')).toHaveLength(1)
      await run(runJob, { job: JOB }, context)
      expect(jobs('default')).toHaveLength(1)
    })

    it('says what the API server does not like', async () => {
      const { context, dry } = someNode()
      const job = structuredClone<Manifest>(JOB)
      job.spec.template.spec.containers[0].imagePullPolice = 'Always'
      for (const each of [dry, context])
        await expect(run(runJob, { job }, each)).rejects.toMatchObject({
          message: expect.stringMatching(/^create jobs: .*imagePullPolice/),
          retryable: false,
        })
      await expect(run(runJob, { namespace: 'nowhere', job: JOB }, context)).rejects.toMatchObject({
        message: 'create jobs: namespaces "nowhere" not found',
        retryable: false,
      })
    })

    it.each([
      {},
      { job: {} },
      { job: { ...JOB, metadata: { name: 'mine' } } },
      { job: { ...JOB, metadata: { namespace: 'mine' } } },
      { job: { ...JOB, kind: 'Pod' } },
      { job: JOB, namespace: 'no/where' },
    ])('does not take %j', (params) => expect(runJob.params.safeParse(params).success).toBe(false))
  })
})
