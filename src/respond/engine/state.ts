// What replicas remember together, on NATS or in memory: steps done, targets acted upon, actions of the last minute.

import { hash } from 'node:crypto'
import { setTimeout as delay } from 'node:timers/promises'
import { JetStreamApiError } from '@nats-io/jetstream'
import { type KV, Kvm } from '@nats-io/kv'
import type { NatsConnection } from 'nats'

export type State = ReturnType<typeof stateOn>

/** Texts by key. */
export interface Store {
  read(key: string): Promise<string | undefined>
  /** Writes what `change` gives, unless undefined; calls it again if another process was quicker. */
  update(key: string, change: (text: string | undefined) => string | undefined): Promise<void>
}

/** No alert is delivered again for so long, and no cool-down is longer. */
const REMEMBERED_MS = 24 * 3_600_000
const ENTRIES_MAX = 100_000
const CONFLICTS_MAX = 200
const FAILURES_MAX = 5
const FAILURE_PAUSE_MS = 250
/** The second that runs and the sixty before it: so no minute, however it lies, has too many. */
const WINDOW_S = 61

export const createMemoryState = (): State => stateOn(createMemoryStore())

export const openKvState = (connection: NatsConnection, bucket: string, replicas = 1): State =>
  stateOn(createKvStore(connection, bucket, replicas))

function stateOn(store: Store) {
  let last: Promise<unknown> = Promise.resolve()

  /** One key holds how many actions there were in each of the last seconds. */
  async function takeNow(limit: number): Promise<number> {
    let wait = 0
    await store.update('actions', (text) => {
      const now = Date.now()
      const second = Math.floor(now / 1000)
      const all: [second: number, count: number][] = text === undefined ? [] : JSON.parse(text)
      const counts = all.filter(([at]) => at > second - WINDOW_S)
      const used = counts.reduce((sum, [, count]) => sum + count, 0)
      const oldest = counts[0]
      const isFull = used >= limit && oldest !== undefined
      wait = isFull ? Math.max(1, (oldest[0] + WINDOW_S) * 1000 - now) : 0
      if (isFull) return undefined
      const current = counts.at(-1)
      // A clock that is ahead of ours may have been here.
      if (current && current[0] >= second) current[1]++
      else counts.push([second, 1])
      return JSON.stringify(counts)
    })
    return wait
  }

  return {
    /** Whether the step, by its index, was done for this alert. */
    isDone: async (playbook: string, id: string, step: number): Promise<boolean> =>
      (await store.read(keyOf('done', playbook, id, step))) !== undefined,
    markDone: (playbook: string, id: string, step: number) =>
      store.update(keyOf('done', playbook, id, step), () => String(Date.now())),
    /** False: another alert has taken the target within `ms`. True: this one has, now or before. */
    async coolDown(playbook: string, target: string, ms: number, id: string): Promise<boolean> {
      let mayAct = true
      await store.update(keyOf('cool', playbook, target), (text) => {
        const [by, since] = text?.split(' ') ?? []
        const fresh = Number(since) > Date.now() - ms
        mayAct = !fresh || by === id
        return fresh ? undefined : `${id} ${Date.now()}`
      })
      return mayAct
    },
    /** The alert that has taken the target has not acted after all: another one may. */
    release: (playbook: string, target: string, id: string) =>
      store.update(keyOf('cool', playbook, target), (text) =>
        text?.split(' ')[0] === id ? `${id} 0` : undefined,
      ),
    /** Takes room for one more action. 0: go; otherwise how many ms to wait before asking again. */
    takeAction(limitPerMinute: number): Promise<number> {
      // One behind the other: those of one process would only get in each other's way.
      const taken = last.then(() => takeNow(limitPerMinute))
      last = taken.catch(() => {})
      return taken
    },
  }
}

/** Alerts and playbooks name no keys: they are hashed. */
const keyOf = (kind: string, ...parts: (string | number)[]) =>
  `${kind}-${hash('sha256', JSON.stringify(parts), 'base64url')}`

export function createMemoryStore(): Store {
  const entries = new Map<string, { text: string; at: number }>()
  return {
    read: async (key) => entries.get(key)?.text,
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
