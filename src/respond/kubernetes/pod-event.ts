// Notes what was done where people look for it: an Event on the pod.

import { hostname } from 'node:os'
import { printable } from '../../shared/errors.ts'
import type { Cluster } from './cluster.ts'
import { MANAGED_BY } from './objects.ts'
import type { PodTarget } from './target.ts'

export interface Note {
  /** In CamelCase: `FalcoNatsIsolatePod`. */
  readonly reason: string
  readonly message: string
  readonly type: 'Normal' | 'Warning'
}

const US = 'falco-nats'
/** What Kubernetes takes. */
const MESSAGE_MAX = 1024

/** Throws an ApiError; where it is not allowed, that is not worth more than a line at debug. */
export function noteOnPod(cluster: Cluster, pod: PodTarget, note: Note, signal: AbortSignal) {
  const { namespace, name, uid } = pod
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
