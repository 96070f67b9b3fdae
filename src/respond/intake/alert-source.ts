// Where the alerts of one playbook come from: workers.ts with JetStream, queue-group.ts without.

import type { Msg, NatsConnection } from 'nats'
import type { Arrival, RunnerParts } from '../engine/run.ts'
import type { Playbook } from '../playbook/playbook.ts'
import type { Settle } from './settlement.ts'

export interface AlertSource {
  /** Whether alerts can come. */
  isReady(): boolean
  /** Resolves after a stop, when all that was begun is over. */
  readonly finished: Promise<void>
}

export interface SourceParts extends Pick<RunnerParts, 'metrics' | 'log' | 'stop'> {
  readonly connection: NatsConnection
  readonly playbook: Playbook
  readonly settle: Settle
  /** Of the durable consumer, or of the queue group: replicas share it. */
  readonly name: string
}

export const arrivalOf = ({ subject, data, headers }: Msg, delivery: number): Arrival => ({
  subject,
  payload: data,
  msgIdHeader: headers?.get('Nats-Msg-Id') || undefined,
  delivery,
})
