// taint-node: keeps pods that do not tolerate it off the node of the alert.

import { z } from 'zod'
import { ApiError } from '../kubernetes/errors.ts'
import { labelKey, labelValue } from '../kubernetes/names.ts'
import { type Done, defineStep, type StepContext } from './step.ts'
import { already, changeNode } from './target-steps.ts'

const params = z.strictObject({
  key: labelKey.default('falco/alert'),
  value: labelValue.default('true'),
  effect: z.enum(['NoSchedule', 'PreferNoSchedule', 'NoExecute']).default('NoSchedule'),
})

/** Others write to a node too; after so many in a row the alert waits its turn. */
const TRIES = 5

export const taintNode = defineStep({
  name: 'taint-node',
  params,
  target: 'node',
  repeatable: true,
  rules: () => [{ apiGroups: [''], resources: ['nodes'], verbs: ['patch'] }],
  async run(taint, context) {
    for (let attempt = 1; ; attempt++) {
      try {
        return await tryToTaint(taint, context)
      } catch (error) {
        const isConflict = error instanceof ApiError && error.status === 409
        if (!isConflict || attempt === TRIES) throw error
      }
    }
  },
})

const tryToTaint = (taint: z.infer<typeof params>, context: StepContext): Promise<Done> =>
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
  })
