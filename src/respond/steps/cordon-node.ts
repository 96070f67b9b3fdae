// cordon-node: lets no more pods be scheduled onto the node of the alert.

import { z } from 'zod'
import type { Step } from './step.ts'
import { already, liveNode, shownNode, skipped } from './target-steps.ts'

const params = z.strictObject({})

export const cordonNode: Step<z.infer<typeof params>> = {
  name: 'cordon-node',
  params,
  target: 'node',
  repeatable: true,
  rules: () => [{ apiGroups: [''], resources: ['nodes'], verbs: ['patch'] }],
  async run(_, context) {
    const { cluster, node, dryRun, signal } = context
    const shown = shownNode(context)
    const live = await liveNode(context)
    if (!live) return skipped(`${shown} is gone`)
    if (live.spec.unschedulable) return already(context, `${shown} is cordoned already`)
    if (dryRun) return { outcome: 'dry_run', detail: `would cordon ${shown}` }
    const done = await cluster().patchNode(node!, { spec: { unschedulable: true } }, signal)
    return done ? { outcome: 'ok', detail: `cordoned ${shown}` } : skipped(`${shown} is gone`)
  },
}
