// State and captured logs, kept on NATS.

import type { NatsConnection } from 'nats'
import { createMemoryState, openKvState, type State } from '../engine/state.ts'
import type { Plan } from '../playbook/playbook.ts'
import type { Bucket } from '../steps/step.ts'
import type { Mode } from './mode.ts'
import { replicasOf } from './stream.ts'

/** A dry run remembers for itself, so that it does not affect replicas that act. */
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
