// Notes what was done where people look for it: an Event on the pod.

import { hostname } from 'node:os'
import { printable } from '../../shared/errors.ts'
import type { Cluster } from './cluster.ts'
import { MANAGED_BY } from './objects.ts'
import type { PodTarget } from './target.ts'

const US = 'falco-nats'
/** What Kubernetes takes. */
const MESSAGE_MAX = 1024

/** With a reason in CamelCase. Throws an ApiError; where it is not allowed, that is worth a line at debug. */
export function noteOnPod(
  cluster: Cluster,
  { namespace, name, uid }: PodTarget,
  note: { reason: string; message: string; type: 'Normal' | 'Warning' },
  signal: AbortSignal,
) {
  const now = new Date().toISOString().replace(/\.\d+/, '')
  const event = {
    apiVersion: 'v1',
    kind: 'Event',
    metadata: { generateName: `${US}-`, namespace, labels: MANAGED_BY },
    involvedObject: { apiVersion: 'v1', kind: 'Pod', namespace, name, uid },
    ...note,
    message: printable(note.message).slice(0, MESSAGE_MAX),
    firstTimestamp: now,
    lastTimestamp: now,
    count: 1,
    source: { component: US },
    reportingComponent: US,
    reportingInstance: hostname().slice(0, 128),
  }
  return cluster.createEvent(namespace, event, signal)
}
