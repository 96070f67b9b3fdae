// label-pod: sets labels on the pod of the alert.

import { z } from 'zod'
import { labelKey, labelValue } from '../kubernetes/names.ts'
import { defineStep } from './step.ts'
import { already, changePod } from './target-steps.ts'

export const labelPod = defineStep({
  name: 'label-pod',
  params: z.strictObject({
    labels: z
      .record(labelKey, labelValue)
      .refine((labels) => Object.keys(labels).length > 0, 'must name at least one label'),
  }),
  target: 'pod',
  repeatable: true,
  rules: () => [{ apiGroups: [''], resources: ['pods'], verbs: ['patch'] }],
  run: ({ labels }, context) =>
    changePod(context, ({ metadata }, shown) => {
      const entries = Object.entries(labels)
      const list = entries.map(([key, value]) => `${key}=${value}`).join(', ')
      if (entries.every(([key, value]) => metadata.labels?.[key] === value))
        return already(context, `${shown} has ${list} already`)
      const { cluster, pod, signal } = context
      return {
        would: `label ${shown} with ${list}`,
        done: `labelled ${shown} with ${list}`,
        act: () => cluster().patchPod(pod!, { metadata: { labels } }, signal),
      }
    }),
})
