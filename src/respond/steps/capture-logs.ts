// capture-logs: keeps what the containers of the pod have written, before it is gone.

import { mkdir, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { z } from 'zod'
import { messageOf } from '../../shared/errors.ts'
import { formatBytes } from '../../shared/options/units.ts'
import { type Bucket, defineStep, StepError } from './step.ts'
import { livePod, skipped } from './target-steps.ts'

const BUCKET = 'falco-logs'
const LIMIT_BYTES_MAX = 64 * 1024 * 1024

export const captureLogs = defineStep({
  name: 'capture-logs',
  params: z
    .strictObject({
      tailLines: z.int().min(1).optional().describe('all'),
      limitBytes: z
        .int()
        .min(1)
        .max(LIMIT_BYTES_MAX)
        .default(1_048_576)
        .describe('of each container, 1 MiB'),
      directory: z.string().min(1).optional().describe('none: a bucket'),
      bucket: z
        .string()
        .regex(/^[A-Za-z0-9_-]+$/, 'may have only letters, digits, "-" and "_"')
        .optional()
        .describe(`of a NATS object store, ${BUCKET}`),
    })
    .refine(
      ({ directory, bucket }) => directory === undefined || bucket === undefined,
      'must not have both directory and bucket',
    ),
  target: 'pod',
  repeatable: true,
  rules: () => [{ apiGroups: [''], resources: ['pods/log'], verbs: ['get'] }],
  async run({ tailLines, limitBytes, directory, bucket = BUCKET }, context) {
    const { cluster, id, dryRun, signal } = context
    const pod = context.pod!
    const shown = `${pod.namespace}/${pod.name}`
    const live = await livePod(context)
    if (!live) return skipped(`the pod ${shown} is gone`)
    const { initContainers = [], containers: main, ephemeralContainers = [] } = live.spec
    const containers = [...initContainers, ...main, ...ephemeralContainers].map(({ name }) => name)
    const where = directory ?? `the bucket ${bucket}`
    const what = `the logs of ${containers.join(', ')} of ${shown} in ${where}`
    if (dryRun) return { outcome: 'dry_run', detail: `would keep ${what}` }
    const kept = directory === undefined ? await context.bucket(bucket) : filesIn(directory)
    const sizes: number[] = []
    const failures: unknown[] = []
    const keep = async (container: string, previous: boolean) => {
      const options = { container, previous, tailLines, limitBytes }
      const log = await cluster().log(pod, options, signal)
      if (!log) return
      await kept.put(`${id}/${shown}/${container}${previous ? '.previous' : ''}.log`, log)
      sizes.push(log.length)
    }
    // One container's must not be lost for another's.
    for (const container of containers)
      for (const previous of [false, true])
        await keep(container, previous).catch((error) => failures.push(error))
    if (failures.length > 0) throw failures[0]
    if (sizes.length === 0) return skipped(`the pod ${shown} has no logs`)
    const bytes = formatBytes(sizes.reduce((sum, size) => sum + size))
    return { outcome: 'ok', detail: `kept ${sizes.length} logs of ${shown} (${bytes}) in ${where}` }
  },
})

/** Names are of what the API server has checked and of our own id: they lead nowhere else. */
const filesIn = (directory: string): Bucket => ({
  async put(name, bytes) {
    const path = join(directory, name)
    try {
      await mkdir(dirname(path), { recursive: true, mode: 0o700 })
      await writeFile(path, bytes, { mode: 0o600 })
    } catch (cause) {
      throw new StepError(`cannot keep a log: ${messageOf(cause)}`, { retryable: true, cause })
    }
  },
})
