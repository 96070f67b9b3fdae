// Lifts isolation when its time has passed. Every replica does so: doing it twice does no harm.

import { sleep } from '../../shared/backoff.ts'
import { messageOf } from '../../shared/errors.ts'
import type { Logger } from '../../shared/log.ts'
import type { Cluster } from '../kubernetes/cluster.ts'
import { ApiError } from '../kubernetes/errors.ts'
import { ISOLATED_LABEL, ISOLATED_UNTIL, type Pod } from '../kubernetes/objects.ts'
import type { Plan } from '../playbook/playbook.ts'

const EVERY_MS = 30_000
const CONFLICT = 409

interface LiftOptions {
  readonly signal: AbortSignal
  readonly log: Logger
  /** Only logs what it would do. */
  readonly dryRun: boolean
  readonly everyMs?: number
}

/** Until the signal aborts. */
export async function liftExpiredIsolation(cluster: Cluster, options: LiftOptions): Promise<void> {
  const { signal, log, dryRun, everyMs = EVERY_MS } = options
  /** A failure that lasts is one warning. */
  let isFailing = false
  /** Pods, by uid, that have their line in the log: one is enough. */
  const logged = new Set<string>()
  for (; !signal.aborted; await sleep(everyMs, signal))
    try {
      for await (const pod of cluster.podsWithLabel(`${ISOLATED_LABEL}=true`, signal))
        if (isExpired(pod)) await lift(pod)
      isFailing = false
    } catch (error) {
      if (signal.aborted) return
      const line = 'cannot look for isolated pods whose time has passed'
      log[isFailing ? 'debug' : 'warn']({ err: messageOf(error) }, line)
      isFailing = true
    }

  async function lift({ metadata }: Pod): Promise<void> {
    const { namespace = '', name, uid, resourceVersion } = metadata
    const fields = { namespace, pod: name }
    const isNew = !logged.has(uid)
    if (dryRun) {
      if (isNew) log.info(fields, 'would lift the isolation of a pod: its time has passed')
      logged.add(uid)
      return
    }
    const target = { namespace, name, uid, nodeName: undefined }
    const patch = {
      metadata: { labels: { [ISOLATED_LABEL]: null }, annotations: { [ISOLATED_UNTIL]: null } },
    }
    try {
      // Not if it was changed since, maybe to isolate it for longer.
      const isLifted = await cluster.patchPod(target, patch, signal, resourceVersion)
      if (isLifted) log.info(fields, 'lifted the isolation of a pod: its time has passed')
    } catch (error) {
      // The next round looks again; other pods must not wait for this one.
      if (signal.aborted) return
      const isWarning = isNew && !(error instanceof ApiError && error.status === CONFLICT)
      const line = 'cannot lift the isolation of a pod'
      log[isWarning ? 'warn' : 'debug']({ ...fields, err: messageOf(error) }, line)
      if (isWarning) logged.add(uid)
    }
  }
}

/** Whether a playbook isolates for a time only. */
export const hasIsolationTtl = ({ playbooks }: Plan) =>
  playbooks
    .flatMap(({ steps }) => steps.filter(({ step }) => step.name === 'isolate-pod'))
    .some(({ params }) => (params as { ttl?: unknown }).ttl !== undefined)

/** Without a time, or with an unreadable one, a pod is isolated for good. */
const isExpired = ({ metadata }: Pod) =>
  Date.parse(metadata.annotations?.[ISOLATED_UNTIL] ?? '') <= Date.now()
