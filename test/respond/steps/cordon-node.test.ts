// cordon-node, upon a real API server.

import { describe, expect, it } from 'vitest'
import { cordonNode } from '../../../src/respond/steps/cordon-node.ts'
import { hasKubernetes } from '../../support/kubernetes.ts'
import { liveTargets } from '../../support/live-targets.ts'
import { run } from '../../support/step-context.ts'

describe.skipIf(!hasKubernetes)('cordon-node', () => {
  const live = liveTargets()

  it('cordons, once', async () => {
    const { name, context, dry, now, replace } = live.someNode()
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
})
