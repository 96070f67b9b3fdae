// label-pod: sets labels on the pod of the alert.

import { z } from 'zod'
import type { Step } from '../step.ts'
import { labelKey, labelValue } from './names.ts'

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
  async run({ labels }, { cluster, pod, dryRun, signal }) {
    const target = pod!
    const shown = `${target.namespace}/${target.name}`
    const list = Object.entries(labels)
      .map(([key, value]) => `${key}=${value}`)
      .join(', ')
    const live = await cluster().pod(target, signal)
    if (live?.metadata.uid !== target.uid)
      return { outcome: 'skipped', detail: `the pod ${shown} is gone` }
    const has = live.metadata.labels ?? {}
    if (Object.entries(labels).every(([key, value]) => has[key] === value))
      return { outcome: dryRun ? 'dry_run' : 'ok', detail: `the pod ${shown} has ${list} already` }
    if (dryRun) return { outcome: 'dry_run', detail: `would label the pod ${shown} with ${list}` }
    const done = await cluster().patchPod(target, { metadata: { labels } }, signal)
    return done
      ? { outcome: 'ok', detail: `labelled the pod ${shown} with ${list}` }
      : { outcome: 'skipped', detail: `the pod ${shown} is gone` }
  },
}
