// delete-pod: deletes the pod of the alert, so that a clean one takes its place.

import { z } from 'zod'
import { defineStep } from './step.ts'
import { changePod, skipped } from './target-steps.ts'

/** On the API server's image of a pod that the node runs from a file: deleting it stops nothing. */
const MIRROR = 'kubernetes.io/config.mirror'

export const deletePod = defineStep({
  name: 'delete-pod',
  params: z.strictObject({
    gracePeriodSeconds: z.int().min(0).max(86_400).optional().describe("the pod's own"),
    /** Also one that nothing would re-create. */
    evenStandalone: z.boolean().default(false),
  }),
  target: 'pod',
  repeatable: true,
  rules: () => [{ apiGroups: [''], resources: ['pods'], verbs: ['delete'] }],
  run: ({ gracePeriodSeconds, evenStandalone }, context) =>
    changePod(context, ({ metadata }, shown) => {
      const { deletionTimestamp, annotations = {}, ownerReferences = [] } = metadata
      if (deletionTimestamp) return skipped(`${shown} is being deleted already`)
      if (annotations[MIRROR] !== undefined)
        return skipped(`${shown} is run by its node from a file: deleting it stops nothing`)
      if (!evenStandalone && !ownerReferences.some(({ controller }) => controller))
        return skipped(`nothing would re-create ${shown}: see evenStandalone`)
      const { cluster, pod, signal } = context
      return {
        would: `delete ${shown}`,
        done: `deleted ${shown}`,
        act: () => cluster().deletePod(pod!, { gracePeriodSeconds }, signal),
      }
    }),
})
