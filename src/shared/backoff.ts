// How long to wait before the next try.

import { setTimeout as delay } from 'node:timers/promises'

const DEFAULTS = { factor: 2, maxMs: 5_000, jitter: 0.5, random: Math.random }

/** Milliseconds before try `attempt` (from 1); the part `jitter` is random, so that a cluster does not retry as one. */
export function backoff(attempt: number, firstMs: number, options?: Partial<typeof DEFAULTS>) {
  const { factor, maxMs, jitter, random } = { ...DEFAULTS, ...options }
  const longest = Math.min(maxMs, firstMs * factor ** Math.min(attempt - 1, 10))
  return longest * (1 - jitter * random())
}

/** Resolves after `ms`, or as soon as the signal aborts. */
export const sleep = (ms: number, signal: AbortSignal): Promise<void> =>
  delay(ms, undefined, { signal }).catch(() => {})
