// taint-node: keeps pods that do not tolerate it off the node of the alert.

import { z } from 'zod'
import { ApiError } from '../kubernetes/errors.ts'
import { labelKey, labelValue } from '../kubernetes/names.ts'
import type { Taint } from '../kubernetes/objects.ts'
import type { Step } from './step.ts'
import { already, liveNode, shownNode, skipped } from './target-steps.ts'

const params = z.strictObject({
  key: labelKey.default('falco/alert'),
  value: labelValue.default('true'),
  effect: z.enum(['NoSchedule', 'PreferNoSchedule', 'NoExecute']).default('NoSchedule'),
})

/** Others write to a node too; after so many in a row the alert waits its turn. */
const TRIES = 5

export const taintNode: Step<z.infer<typeof params>> = {
  name: 'taint-node',
  params,
  target: 'node',
  repeatable: true,
  rules: () => [{ apiGroups: [''], resources: ['nodes'], verbs: ['patch'] }],
  async run(taint, context) {
    const { cluster, node, dryRun, signal } = context
    const shown = shownNode(context)
    const text = `${taint.key}=${taint.value}:${taint.effect}`
    for (let attempt = 1; ; attempt++) {
      const live = await liveNode(context)
      if (!live) return skipped(`${shown} is gone`)
      const taints = live.spec.taints ?? []
      const known = taints.find((other) => isSame(other, taint))
      if (known && (known.value ?? '') === taint.value)
        return already(context, `${shown} has ${text} already`)
      if (dryRun) return { outcome: 'dry_run', detail: `would taint ${shown} with ${text}` }
      const rest = taints.filter((other) => !isSame(other, taint))
      const patch = { spec: { taints: [...rest, taint] } }
      try {
        // The list is replaced as a whole, so nobody else may have changed it meanwhile.
        const { resourceVersion } = live.metadata
        const done = await cluster().patchNode(node!, patch, signal, resourceVersion)
        return done
          ? { outcome: 'ok', detail: `tainted ${shown} with ${text}` }
          : skipped(`${shown} is gone`)
      } catch (error) {
        const isConflict = error instanceof ApiError && error.status === 409
        if (!isConflict || attempt === TRIES) throw error
      }
    }
  },
}

/** A node may have only one of a key and effect. */
const isSame = (one: Taint, other: Taint) => one.key === other.key && one.effect === other.effect
