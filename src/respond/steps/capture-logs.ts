// capture-logs: keeps what the containers of the pod have written, before it is gone.

import { mkdir, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { z } from 'zod'
import { messageOf } from '../../shared/errors.ts'
import { formatBytes } from '../../shared/options/units.ts'
import type { Pod } from '../kubernetes/objects.ts'
import { type Step, type StepContext, StepError } from './step.ts'
import { livePod, shownPod, skipped } from './target-steps.ts'

const BUCKET = 'falco-logs'

const params = z
  .strictObject({
    tailLines: z.int().min(1).optional().describe('all'),
    limitBytes: z
      .int()
      .min(1)
      .max(64 * 1024 * 1024)
      .default(1024 * 1024)
      .describe('of each container, 1 MiB'),
    directory: z.string().min(1).optional().describe('none: a bucket'),
    bucket: z
      .string()
      .regex(/^[A-Za-z0-9_-]+$/, { error: 'may have only letters, digits, "-" and "_"' })
      .optional()
      .describe(`of a NATS object store, ${BUCKET}`),
  })
  .refine(({ directory, bucket }) => directory === undefined || bucket === undefined, {
    error: 'must not have both directory and bucket',
  })

export const captureLogs: Step<z.infer<typeof params>> = {
  name: 'capture-logs',
  params,
  target: 'pod',
  repeatable: true,
  rules: () => [{ apiGroups: [''], resources: ['pods/log'], verbs: ['get'] }],
  async run(options, context) {
    const { cluster, dryRun, signal } = context
    const target = context.pod!
    const shown = `${target.namespace}/${target.name}`
    const live = await livePod(context)
    if (!live) return skipped(`${shownPod(context)} is gone`)
    const containers = containersOf(live)
    const { directory, bucket = BUCKET } = options
    const where = directory ?? `the bucket ${bucket}`
    if (dryRun) {
      const detail = `would keep the logs of ${containers.join(', ')} of ${shown} in ${where}`
      return { outcome: 'dry_run', detail }
    }
    const put = directory === undefined ? await bucketOf(bucket, context) : filesIn(directory)
    let files = 0
    let bytes = 0
    let failure: unknown
    for (const container of containers) {
      for (const previous of [false, true]) {
        try {
          const { tailLines, limitBytes } = options
          const logOptions = { container, previous, tailLines, limitBytes }
          const log = await cluster().log(target, logOptions, signal)
          if (!log) continue
          await put(`${context.id}/${shown}/${container}${previous ? '.previous' : ''}.log`, log)
          files++
          bytes += log.length
        } catch (error) {
          // One container's must not be lost for another's.
          failure ??= error
          if (signal.aborted) break
        }
      }
    }
    if (failure !== undefined) throw failure
    if (files === 0) return skipped(`${shownPod(context)} has no logs`)
    const detail = `kept ${files} logs of ${shown} (${formatBytes(bytes)}) in ${where}`
    return { outcome: 'ok', detail }
  },
}

function containersOf({ spec }: Pod): string[] {
  const { initContainers = [], containers, ephemeralContainers = [] } = spec
  return [...initContainers, ...containers, ...ephemeralContainers].map(({ name }) => name)
}

type Put = (name: string, bytes: Buffer) => Promise<void>

async function bucketOf(name: string, context: StepContext): Promise<Put> {
  const store = await context.bucket(name)
  return (name, bytes) => store.put(name, bytes)
}

/** Names are of what the API server has checked and of our own id: they lead nowhere else. */
function filesIn(directory: string): Put {
  return async (name, bytes) => {
    const path = join(directory, name)
    try {
      await mkdir(dirname(path), { recursive: true, mode: 0o700 })
      await writeFile(path, bytes, { mode: 0o600 })
    } catch (error) {
      throw new StepError(`cannot keep a log: ${messageOf(error)}`, {
        retryable: true,
        cause: error,
      })
    }
  }
}
