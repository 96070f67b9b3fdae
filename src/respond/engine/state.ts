// What replicas remember together: steps that are done, targets that were acted upon, and how many
// actions there were in the last minute. On a key-value bucket, or in the memory of one process.

import { hash } from 'node:crypto'
import { setTimeout as delay } from 'node:timers/promises'
import { JetStreamApiError } from '@nats-io/jetstream'
import { type KV, Kvm } from '@nats-io/kv'
import type { NatsConnection } from 'nats'

export interface State {
  /** Whether the step, by its index, was done for this alert. */
  isDone(playbook: string, id: string, step: number): Promise<boolean>
  markDone(playbook: string, id: string, step: number): Promise<void>
  /**
   * True: may act, and from now it is remembered. False: the target was acted upon within `ms`. The
   * alert that has taken it may go on when it comes again.
   */
  coolDown(playbook: string, target: string, ms: number, id: string): Promise<boolean>
  /** The alert that has taken the target has not acted after all: another one may. */
  release(playbook: string, target: string, id: string): Promise<void>
  /** Takes room for one more action. 0: go; otherwise how many ms to wait before asking again. */
  takeAction(limitPerMinute: number): Promise<number>
}

/** No alert is delivered again for so long, and no cool-down is longer. */
const REMEMBERED_MS = 24 * 3_600_000
const ENTRIES_MAX = 100_000
const CONFLICTS_MAX = 200
const TROUBLES_MAX = 5
const TROUBLE_PAUSE_MS = 250
const ACTIONS = 'actions'
/** The second that runs and the sixty before it: so no minute, however it lies, has too many. */
const WINDOW_S = 61

/** Where texts are kept by key. `change` is told the text that is there and gives the new one. */
interface Store {
  read(key: string): Promise<string | undefined>
  /** Writes what `change` gives, or nothing where that is undefined; again if another was quicker. */
  update(key: string, change: (text: string | undefined) => string | undefined): Promise<void>
}

export const createMemoryState = (): State => stateOn(createMemory())

/** Makes the bucket at its first use. A bucket that is there is taken as it is. */
export function openKvState(connection: NatsConnection, bucket: string, replicas = 1): State {
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
  return stateOn(createKvStore(open))
}

function stateOn(store: Store): State {
  const actions = createActions(store)
  return {
    isDone: async (playbook, id, step) =>
      (await store.read(keyOf('done', playbook, id, step))) !== undefined,
    markDone: (playbook, id, step) =>
      store.update(keyOf('done', playbook, id, step), () => String(Date.now())),
    async coolDown(playbook, target, ms, id) {
      let mayAct = true
      await store.update(keyOf('cool', playbook, target), (text) => {
        const [by, since] = text?.split(' ') ?? []
        const fresh = Number(since) > Date.now() - ms
        mayAct = !fresh || by === id
        return fresh ? undefined : `${id} ${Date.now()}`
      })
      return mayAct
    },
    release: (playbook, target, id) =>
      store.update(keyOf('cool', playbook, target), (text) =>
        text?.split(' ')[0] === id ? `${id} 0` : undefined,
      ),
    takeAction: actions,
  }
}

/** Alerts and playbooks name no keys: they are hashed. */
const keyOf = (kind: string, ...parts: (string | number)[]) =>
  `${kind}-${hash('sha256', JSON.stringify(parts), 'base64url')}`

/**
 * One key holds how many actions there were in each of the last seconds. The takers of one process
 * go one behind the other: that they would only get in each other's way is known beforehand.
 */
function createActions(store: Store): State['takeAction'] {
  let last: Promise<unknown> = Promise.resolve()
  const take = async (limit: number): Promise<number> => {
    let wait = 0
    await store.update(ACTIONS, (text) => {
      const now = Date.now()
      const second = Math.floor(now / 1000)
      const counts = parseCounts(text).filter(([at]) => at > second - WINDOW_S)
      const used = counts.reduce((sum, [, count]) => sum + count, 0)
      const oldest = counts[0]
      if (used >= limit && oldest) {
        wait = Math.max(1, (oldest[0] + WINDOW_S) * 1000 - now)
        return undefined
      }
      wait = 0
      const current = counts.at(-1)
      // A clock that is ahead of ours may have been here.
      if (current && current[0] >= second) current[1]++
      else counts.push([second, 1])
      return JSON.stringify(counts)
    })
    return wait
  }
  return (limit) => {
    const taken = last.then(() => take(limit))
    last = taken.catch(() => {})
    return taken
  }
}

const parseCounts = (text: string | undefined): [second: number, count: number][] =>
  text === undefined ? [] : JSON.parse(text)

function createMemory(): Store {
  const entries = new Map<string, { text: string; at: number }>()
  const forget = () => {
    for (const [key, { at }] of entries) {
      if (at > Date.now() - REMEMBERED_MS && entries.size <= ENTRIES_MAX) break
      entries.delete(key)
    }
  }
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
      forget()
    },
  }
}

function createKvStore(open: () => Promise<KV>): Store {
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
  for (let troubles = 1; ; troubles++)
    try {
      return await act()
    } catch (error) {
      if (isConflict(error) || troubles === TROUBLES_MAX) throw error
      await delay(TROUBLE_PAUSE_MS * troubles)
    }
}

/** https://github.com/nats-io/nats-server/blob/main/server/errors.json: wrong last sequence */
const isConflict = (error: unknown) =>
  error instanceof JetStreamApiError && (error.code === 10071 || error.code === 10164)
