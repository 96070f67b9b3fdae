// run-job: runs a Job of the user's on the node of the alert.

import { hash } from 'node:crypto'
import { z } from 'zod'
import { DNS_LABEL, ownNamespace } from '../kubernetes/names.ts'
import { MANAGED_BY } from '../kubernetes/objects.ts'
import { defineStep, type StepContext } from './step.ts'
import { already } from './target-steps.ts'
import { fill } from './template.ts'

const texts = z.record(z.string(), z.string())

/** As much as is written to; the API server checks the rest, strictly. */
const manifest = z.looseObject({
  apiVersion: z.literal('batch/v1').optional(),
  kind: z.literal('Job').optional(),
  metadata: z
    .looseObject({
      name: z.undefined({ error: 'is given by the step' }).optional(),
      namespace: z.undefined({ error: 'stands beside job' }).optional(),
      labels: texts.optional(),
      annotations: texts.optional(),
    })
    .optional(),
  spec: z.looseObject({
    ttlSecondsAfterFinished: z.int().min(0).optional(),
    template: z.looseObject({
      metadata: z.looseObject({ labels: texts.optional() }).optional(),
      spec: z.looseObject({
        containers: z.array(z.looseObject({})).min(1),
        restartPolicy: z.enum(['Never', 'OnFailure']).optional(),
      }),
    }),
  }),
})

type Job = z.infer<typeof manifest>

const KEPT_SECONDS = 3600
/** Which alert it was run for. */
const ALERT_ANNOTATION = 'falco-nats.io/alert'

export const runJob = defineStep({
  name: 'run-job',
  params: z.strictObject({
    namespace: z
      .string()
      .regex(DNS_LABEL, 'must be the name of a namespace')
      .optional()
      .describe('our own'),
    /** With templates of the alert in its texts. */
    job: manifest.describe("a Job's `metadata` and `spec`"),
  }),
  target: 'node',
  repeatable: true,
  rules: () => [{ apiGroups: ['batch'], resources: ['jobs'], verbs: ['create'] }],
  async run({ namespace = ownNamespace() ?? 'default', job }, context) {
    const { cluster, node, dryRun, signal } = context
    const name = nameOf(job, context)
    const shown = `${namespace}/${name}`
    // Filled as a whole: its keys cannot change by it, only texts within.
    const filled = complete(fill(job, context.alert) as Job, { name, namespace }, context)
    const made = await cluster().createJob(namespace, filled, { dryRun }, signal)
    if (!made) return already(context, `the job ${shown} is there already`)
    const what = `the job ${shown} on ${node!.name}`
    return dryRun
      ? { outcome: 'dry_run', detail: `would run ${what}` }
      : { outcome: 'ok', detail: `runs ${what}` }
  },
})

/** The same at each delivery, so that it is made once; another for another job of the same playbook. */
function nameOf(job: Job, { playbook, id }: StepContext): string {
  const digest = hash('sha256', `${id} ${JSON.stringify(job)}`)
  return `falco-nats-${playbook.slice(0, 20)}-${digest.slice(0, 16)}`
}

function complete({ metadata = {}, spec, ...rest }: Job, names: object, { node, id }: StepContext) {
  const { template } = spec
  const templateLabels = { ...template.metadata?.labels, ...MANAGED_BY }
  return {
    ...rest,
    apiVersion: 'batch/v1',
    kind: 'Job',
    metadata: {
      ...metadata,
      ...names,
      labels: { ...metadata.labels, ...MANAGED_BY },
      annotations: { ...metadata.annotations, [ALERT_ANNOTATION]: id },
    },
    spec: {
      ttlSecondsAfterFinished: KEPT_SECONDS,
      ...spec,
      template: {
        ...template,
        metadata: { ...template.metadata, labels: templateLabels },
        spec: { restartPolicy: 'Never', ...template.spec, nodeName: node!.name },
      },
    },
  }
}
