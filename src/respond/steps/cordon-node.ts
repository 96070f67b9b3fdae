// cordon-node: lets no more pods be scheduled onto the node of the alert.

import { z } from 'zod'
import type { Step } from '../step.ts'

const params = z.strictObject({})

export const cordonNode: Step<z.infer<typeof params>> = {
  name: 'cordon-node',
  params,
  target: 'node',
  repeatable: true,
  rules: () => [{ apiGroups: [''], resources: ['nodes'], verbs: ['patch'] }],
  async run(_, { cluster, node, dryRun, signal }) {
    const target = node!
    const gone = { outcome: 'skipped', detail: `the node ${target.name} is gone` } as const
    const live = await cluster().node(target.name, signal)
    if (live?.metadata.uid !== target.uid) return gone
    if (live.spec.unschedulable)
      return {
        outcome: dryRun ? 'dry_run' : 'ok',
        detail: `the node ${target.name} is cordoned already`,
      }
    if (dryRun) return { outcome: 'dry_run', detail: `would cordon the node ${target.name}` }
    const done = await cluster().patchNode(target, { spec: { unschedulable: true } }, signal)
    return done ? { outcome: 'ok', detail: `cordoned the node ${target.name}` } : gone
  },
}
