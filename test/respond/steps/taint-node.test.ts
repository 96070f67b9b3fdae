// taint-node, upon a real API server.

import { describe, expect, it } from 'vitest'
import type { Cluster } from '../../../src/respond/kubernetes/cluster.ts'
import { taintNode } from '../../../src/respond/steps/taint-node.ts'
import type { Manifest } from '../../support/helm.ts'
import { hasKubernetes } from '../../support/kubernetes.ts'
import { liveTargets } from '../../support/live-targets.ts'
import { run } from '../../support/step-context.ts'

/** Without that of the API server itself, which takes every new node for one that is not ready. */
const taintsOf = ({ spec }: Manifest): Manifest[] =>
  (spec.taints ?? []).filter(({ key }: Manifest) => key !== 'node.kubernetes.io/not-ready')

describe.skipIf(!hasKubernetes)('taint-node', () => {
  const live = liveTargets()

  it('taints as the old engine did, and keeps other taints', async () => {
    const other = { key: 'dedicated', value: 'db', effect: 'NoSchedule' }
    const { name, context, dry, now } = live.someNode({ taints: [other] })
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
    const { context, now } = live.someNode()
    const keys = ['a', 'b', 'c', 'd']
    await Promise.all(keys.map((key) => run(taintNode, { key }, context)))
    expect(
      taintsOf(now())
        .map(({ key }) => key)
        .sort(),
    ).toEqual(keys)
  })

  it('gives up on a node that others write to all the time, for now', async () => {
    const { name, target, context, now } = live.someNode()
    let writes = 0
    const busy: Cluster = {
      ...live.cluster,
      async node(...args) {
        const found = await live.cluster.node(...args)
        const patch = { metadata: { labels: { writes: String(++writes) } } }
        await live.cluster.patchNode(target, patch, context.signal)
        return found
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
    const { context, now, replace, target } = live.someNode()
    replace()
    expect(await run(taintNode, {}, context)).toMatchObject({ outcome: 'skipped' })
    const patch = { spec: { unschedulable: true } }
    expect(await live.cluster.patchNode(target, patch, context.signal)).toBe(false)
    expect(taintsOf(now())).toEqual([])
    expect(now().spec.unschedulable).toBeUndefined()
  })

  it.each([{ effect: 'NoWay' }, { key: 'a b' }, { value: '-' }, { taint: 'a' }])(
    'does not take %j',
    (params) => expect(taintNode.params.safeParse(params).success).toBe(false),
  )
})
