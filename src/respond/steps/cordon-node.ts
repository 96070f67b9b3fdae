// cordon-node: lets no more pods be scheduled onto the node of the alert.

import { z } from 'zod'
import { defineStep } from './step.ts'
import { already, changeNode } from './target-steps.ts'

export const cordonNode = defineStep({
  name: 'cordon-node',
  params: z.strictObject({}),
  target: 'node',
  repeatable: true,
  rules: () => [{ apiGroups: [''], resources: ['nodes'], verbs: ['patch'] }],
  run: (_, context) =>
    changeNode(context, ({ spec }, shown) => {
      if (spec.unschedulable) return already(context, `${shown} is cordoned already`)
      const { cluster, node, signal } = context
      const patch = { spec: { unschedulable: true } }
      return {
        would: `cordon ${shown}`,
        done: `cordoned ${shown}`,
        act: () => cluster().patchNode(node!, patch, signal),
      }
    }),
})
