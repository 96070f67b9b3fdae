// label-pod: sets labels on the pod of the alert.

import { z } from 'zod'
import { labelKey, labelValue } from '../kubernetes/names.ts'
import type { Step } from './step.ts'
import { already, livePod, shownPod, skipped } from './target-steps.ts'

const params = z.strictObject({
  labels: z
    .record(labelKey, labelValue)
    .refine((labels) => Object.keys(labels).length > 0, { error: 'must name at least one label' }),
})

export const labelPod: Step<z.infer<typeof params>> = {
  name: 'label-pod',
  params,
  target: 'pod',
  repeatable: true,
  rules: () => [{ apiGroups: [''], resources: ['pods'], verbs: ['patch'] }],
  async run({ labels }, context) {
    const { cluster, pod, dryRun, signal } = context
    const shown = shownPod(context)
    const list = Object.entries(labels)
      .map(([key, value]) => `${key}=${value}`)
      .join(', ')
    const live = await livePod(context)
    if (!live) return skipped(`${shown} is gone`)
    const has = live.metadata.labels ?? {}
    if (Object.entries(labels).every(([key, value]) => has[key] === value))
      return already(context, `${shown} has ${list} already`)
    if (dryRun) return { outcome: 'dry_run', detail: `would label ${shown} with ${list}` }
    const done = await cluster().patchPod(pod!, { metadata: { labels } }, signal)
    return done
      ? { outcome: 'ok', detail: `labelled ${shown} with ${list}` }
      : skipped(`${shown} is gone`)
  },
}
