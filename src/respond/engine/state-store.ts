// Where replicas keep texts by key: in a key-value bucket of NATS, or in the memory of one process.

import { setTimeout as delay } from 'node:timers/promises'
import { JetStreamApiError } from '@nats-io/jetstream'
import { type KV, Kvm } from '@nats-io/kv'
import type { NatsConnection } from 'nats'

export interface Store {
  read(key: string): Promise<string | undefined>
  /**
   * Writes what `change` makes of the text that is there, or nothing where that is undefined; calls it
   * again if another process was quicker.
   */
  update(key: string, change: (text: string | undefined) => string | undefined): Promise<void>
}

/** No alert is delivered again for so long, and no cool-down is longer. */
const REMEMBERED_MS = 24 * 3_600_000
const ENTRIES_MAX = 100_000
const CONFLICTS_MAX = 200
const FAILURES_MAX = 5
const FAILURE_PAUSE_MS = 250

export function createMemoryStore(): Store {
  const entries = new Map<string, { text: string; at: number }>()
  return {
    async read(key) {
      return entries.get(key)?.text
    },
    async update(key, change) {
      const text = change(entries.get(key)?.text)
      if (text === undefined) return
      // Taken out first, so that the oldest stay in front.
      entries.delete(key)
      entries.set(key, { text, at: Date.now() })
      for (const [key, { at }] of entries) {
        if (at > Date.now() - REMEMBERED_MS && entries.size <= ENTRIES_MAX) break
        entries.delete(key)
      }
    },
  }
}

/** Makes the bucket at its first use. A bucket that is there is taken as it is. */
export function createKvStore(connection: NatsConnection, bucket: string, replicas: number): Store {
  let opened: Promise<KV> | undefined
  const open = () => {
    opened ??= new Kvm(connection)
      // Read from the leader: another node may not know yet what we have just written.
      .create(bucket, { ttl: REMEMBERED_MS, history: 1, replicas, allow_direct: false })
      .catch((error) => {
        opened = undefined
        throw error
      })
    return opened
  }
  const get = (key: string) =>
    patiently(async () => {
      const entry = await (await open()).get(key)
      return entry?.operation === 'PUT' ? entry : undefined
    })
  return {
    read: async (key) => (await get(key))?.string(),
    async update(key, change) {
      for (let conflicts = 0; ; conflicts++) {
        const entry = await get(key)
        const text = change(entry?.string())
        if (text === undefined) return
        try {
          const previousSeq = entry?.revision ?? 0
          await patiently(async () => (await open()).put(key, text, { previousSeq }))
          return
        } catch (error) {
          if (!isConflict(error) || conflicts === CONFLICTS_MAX) throw error
          await delay(Math.random() * Math.min(100, 2 * (conflicts + 1)))
        }
      }
    },
  }
}

/** A bucket between two leaders answers again soon: that is no reason to give an alert back. */
async function patiently<T>(act: () => Promise<T>): Promise<T> {
  for (let failures = 1; ; failures++)
    try {
      return await act()
    } catch (error) {
      if (isConflict(error) || failures === FAILURES_MAX) throw error
      await delay(FAILURE_PAUSE_MS * failures)
    }
}

/** https://github.com/nats-io/nats-server/blob/main/server/errors.json: wrong last sequence */
const isConflict = (error: unknown) =>
  error instanceof JetStreamApiError && (error.code === 10071 || error.code === 10164)
