// Lifts isolation when its time has passed. Every replica does so: to lift what is lifted does no harm.

import { setTimeout as delay } from 'node:timers/promises'
import { messageOf } from '../../shared/errors.ts'
import type { Logger } from '../../shared/log.ts'
import type { Cluster } from '../kubernetes/cluster.ts'
import { ApiError } from '../kubernetes/errors.ts'
import { ISOLATED_LABEL, ISOLATED_UNTIL, type Pod } from '../kubernetes/objects.ts'
import type { Plan } from '../playbook/playbook.ts'

export interface LiftOptions {
  readonly signal: AbortSignal
  readonly log: Logger
  /** Only says what it would do. */
  readonly dryRun: boolean
  readonly everyMs?: number
}

const EVERY_MS = 30_000

/** Until the signal aborts. */
export async function keepLifting(
  cluster: Cluster,
  { signal, log, dryRun, everyMs = EVERY_MS }: LiftOptions,
): Promise<void> {
  let failing = false
  /** The pods of which a line was written: one is enough. */
  const told = new Set<string>()
  while (!signal.aborted) {
    try {
      for await (const pod of cluster.podsWithLabel(`${ISOLATED_LABEL}=true`, signal))
        if (isOver(pod)) await lift(pod)
      failing = false
    } catch (error) {
      if (signal.aborted) return
      // Once for as long as it lasts.
      const line = 'cannot look for isolated pods whose time has passed'
      log[failing ? 'debug' : 'warn']({ err: messageOf(error) }, line)
      failing = true
    }
    await delay(everyMs, undefined, { signal }).catch(() => {})
  }

  async function lift({ metadata }: Pod): Promise<void> {
    const { namespace = '', name, uid, resourceVersion } = metadata
    const fields = { namespace, pod: name }
    if (dryRun) {
      if (!told.has(uid)) log.info(fields, 'would lift the isolation of a pod: its time has passed')
      told.add(uid)
      return
    }
    const target = { namespace, name, uid, nodeName: undefined }
    const patch = {
      metadata: { labels: { [ISOLATED_LABEL]: null }, annotations: { [ISOLATED_UNTIL]: null } },
    }
    try {
      // Not if somebody has changed it since, maybe to isolate it for longer.
      const done = await cluster.patchPod(target, patch, signal, resourceVersion)
      if (done) log.info(fields, 'lifted the isolation of a pod: its time has passed')
    } catch (error) {
      // The next round looks again; other pods must not wait for this one.
      if (signal.aborted) return
      const isNew = !told.has(uid) && !(error instanceof ApiError && error.status === 409)
      log[isNew ? 'warn' : 'debug'](
        { ...fields, err: messageOf(error) },
        'cannot lift the isolation of a pod',
      )
      if (isNew) told.add(uid)
    }
  }
}

/** Whether a playbook isolates for a time only. */
export const liftsIsolation = ({ playbooks }: Plan) =>
  playbooks.some(({ steps }) =>
    steps.some(
      ({ step, params }) =>
        step.name === 'isolate-pod' && (params as { ttl?: unknown }).ttl !== undefined,
    ),
  )

/** One without a time, or with one that is none, is isolated until somebody says otherwise. */
function isOver({ metadata }: Pod): boolean {
  return Date.parse(metadata.annotations?.[ISOLATED_UNTIL] ?? '') <= Date.now()
}
