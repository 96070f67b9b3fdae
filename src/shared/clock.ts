// Time as the stages see it. A simulation hands in its own, which it moves on itself.

import { setImmediate as poll, setTimeout as wait } from 'node:timers/promises'

export interface Clock {
  /** Milliseconds since some moment. It never goes back. */
  now(): number
  /** Milliseconds since 1970. */
  date(): number
  /** Calls `step` once, in `ms`. */
  after(ms: number, step: () => void): Timer
  /** Calls `step` every `ms`. */
  every(ms: number, step: () => void): Timer
  /** Resolves in `ms`, or rejects when the signal aborts. */
  delay(ms: number, signal?: AbortSignal): Promise<void>
  /** Aborts in `ms`. */
  timeout(ms: number): AbortSignal
  /** Resolves when the event loop has looked once for what has arrived. */
  afterPoll(): Promise<void>
}

/** Disposed of, it calls no more. */
export type Timer = Disposable

export const systemClock: Clock = {
  now: () => performance.now(),
  date: () => Date.now(),
  after: (ms, step) => setTimeout(step, ms),
  every: (ms, step) => setInterval(step, ms),
  delay: (ms, signal) => wait(ms, undefined, signal && { signal }),
  timeout: (ms) => AbortSignal.timeout(ms),
  afterPoll: () => poll(),
}
