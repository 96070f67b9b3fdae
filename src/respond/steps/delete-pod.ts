// delete-pod: deletes the pod of the alert, so that a clean one takes its place.

import { z } from 'zod'
import type { Step } from './step.ts'
import { livePod, shownPod, skipped } from './target-steps.ts'

const params = z.strictObject({
  gracePeriodSeconds: z.int().min(0).max(86_400).optional().describe("the pod's own"),
  /** Also one that nothing would re-create. */
  evenStandalone: z.boolean().default(false),
})

/** On the API server's image of a pod that the node runs from a file: deleting it stops nothing. */
const MIRROR = 'kubernetes.io/config.mirror'

export const deletePod: Step<z.infer<typeof params>> = {
  name: 'delete-pod',
  params,
  target: 'pod',
  repeatable: true,
  rules: () => [{ apiGroups: [''], resources: ['pods'], verbs: ['delete'] }],
  async run({ gracePeriodSeconds, evenStandalone }, context) {
    const { cluster, pod, dryRun, signal } = context
    const shown = shownPod(context)
    const live = await livePod(context)
    if (!live) return skipped(`${shown} is gone`)
    const { deletionTimestamp, annotations = {}, ownerReferences = [] } = live.metadata
    if (deletionTimestamp) return skipped(`${shown} is being deleted already`)
    if (annotations[MIRROR] !== undefined)
      return skipped(`${shown} is run by its node from a file: deleting it stops nothing`)
    if (!evenStandalone && !ownerReferences.some(({ controller }) => controller))
      return skipped(`nothing would re-create ${shown}: see evenStandalone`)
    if (dryRun) return { outcome: 'dry_run', detail: `would delete ${shown}` }
    const deleted = await cluster().deletePod(pod!, { gracePeriodSeconds }, signal)
    return deleted ? { outcome: 'ok', detail: `deleted ${shown}` } : skipped(`${shown} is gone`)
  },
}
