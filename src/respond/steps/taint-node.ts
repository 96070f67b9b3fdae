// taint-node: keeps pods that do not tolerate it off the node of the alert.

import { z } from 'zod'
import { ApiError } from '../kubernetes/errors.ts'
import { labelKey, labelValue } from '../kubernetes/names.ts'
import { defineStep } from './step.ts'
import { already, changeNode } from './target-steps.ts'

export const taintNode = defineStep({
  name: 'taint-node',
  params: z.strictObject({
    key: labelKey.default('falco/alert'),
    value: labelValue.default('true'),
    effect: z.enum(['NoSchedule', 'PreferNoSchedule', 'NoExecute']).default('NoSchedule'),
  }),
  target: 'node',
  repeatable: true,
  rules: () => [{ apiGroups: [''], resources: ['nodes'], verbs: ['patch'] }],
  run: (taint, context) =>
    withoutConflict(() =>
      changeNode(context, ({ metadata, spec: { taints = [] } }, shown) => {
        const text = `${taint.key}=${taint.value}:${taint.effect}`
        // A node may have only one of a key and effect.
        const known = taints.find(({ key, effect }) => key === taint.key && effect === taint.effect)
        if (known && (known.value ?? '') === taint.value)
          return already(context, `${shown} has ${text} already`)
        const { cluster, node, signal } = context
        const patch = { spec: { taints: [...taints.filter((other) => other !== known), taint] } }
        return {
          would: `taint ${shown} with ${text}`,
          done: `tainted ${shown} with ${text}`,
          // The list is replaced as a whole, so it must be the one that was looked at.
          act: () => cluster().patchNode(node!, patch, signal, metadata.resourceVersion),
        }
      }),
    ),
})

/** Others write to a node too; after so many conflicts in a row the alert waits its turn. */
async function withoutConflict<T>(act: () => Promise<T>, tries = 5): Promise<T> {
  try {
    return await act()
  } catch (error) {
    if (tries === 1 || !(error instanceof ApiError) || error.status !== 409) throw error
    return withoutConflict(act, tries - 1)
  }
}
