// What replicas remember together: steps that are done, targets that were acted upon, and how many
// actions there were in the last minute.

import { hash } from 'node:crypto'
import type { NatsConnection } from 'nats'
import { createKvStore, createMemoryStore, type Store } from './state-store.ts'

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

const ACTIONS = 'actions'
/** The second that runs and the sixty before it: so no minute, however it lies, has too many. */
const WINDOW_S = 61

export const createMemoryState = (): State => stateOn(createMemoryStore())

export const openKvState = (connection: NatsConnection, bucket: string, replicas = 1): State =>
  stateOn(createKvStore(connection, bucket, replicas))

function stateOn(store: Store): State {
  let last: Promise<unknown> = Promise.resolve()
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
    takeAction(limit) {
      // One behind the other: those of one process would only get in each other's way.
      const taken = last.then(() => takeAction(store, limit))
      last = taken.catch(() => {})
      return taken
    },
  }
}

/** Alerts and playbooks name no keys: they are hashed. */
const keyOf = (kind: string, ...parts: (string | number)[]) =>
  `${kind}-${hash('sha256', JSON.stringify(parts), 'base64url')}`

/** One key holds how many actions there were in each of the last seconds. */
async function takeAction(store: Store, limit: number): Promise<number> {
  let wait = 0
  await store.update(ACTIONS, (text) => {
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
