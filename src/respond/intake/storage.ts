// What is kept on NATS: what replicas remember, the logs that steps capture, and dead letters.

import { jetstream } from '@nats-io/jetstream'
import type { NatsConnection } from 'nats'
import { createMemoryState, openKvState, type State } from '../engine/state.ts'
import type { Plan } from '../playbook/playbook.ts'
import type { Bucket } from '../steps/step.ts'
import { streamFor } from './consumer.ts'
import { type Mode, replicasOf } from './mode.ts'
import type { DeskParts } from './settlement.ts'

/** Of a dead letter: three values of at most 256 characters, and their names. */
const HEADERS_BYTES_MAX = 2048

/** A dry run remembers for itself, so that it is in nobody's way. */
export async function openState(
  connection: NatsConnection,
  { dryRun }: Plan,
  prefix: string,
  modes: readonly Mode[],
): Promise<State> {
  const mode = modes.find(({ kind }) => kind === 'jetstream')
  if (dryRun || mode?.kind !== 'jetstream') return createMemoryState()
  return openKvState(connection, `${prefix}-respond`, await replicasOf(connection, mode.stream))
}

export async function openBucket(connection: NatsConnection, name: string): Promise<Bucket> {
  const { Objm } = await import('@nats-io/obj')
  const store = await new Objm(connection).create(name)
  return {
    async put(name, bytes) {
      await store.putBlob({ name }, bytes)
    },
  }
}

/**
 * Dead letters go to a stream where one takes them, and are stored when that says so. An alert that
 * has no room beside the reason loses its end, and a header says how long it was.
 */
export function createSender(connection: NatsConnection): DeskParts['send'] {
  return async (subject, whole, headers) => {
    const room = (connection.info?.max_payload ?? Number.POSITIVE_INFINITY) - HEADERS_BYTES_MAX
    const payload = whole.subarray(0, Math.max(0, room))
    if (payload.length < whole.length) headers.set('Falco-Respond-Cut-From', String(whole.length))
    const stream = await streamFor(connection, [subject]).catch(() => undefined)
    if (stream !== undefined) {
      await jetstream(connection).publish(subject, payload, { headers })
      return
    }
    connection.publish(subject, payload, { headers })
    await connection.flush()
  }
}
