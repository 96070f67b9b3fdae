// How long to wait before the next try.

import { setTimeout as delay } from 'node:timers/promises'

/**
 * Milliseconds before try `attempt` (from 1): grows from `firstMs` by `factor` to `maxMs`. The part
 * `jitter` of it is left to chance, so that a cluster does not knock as one.
 */
export function backoff(
  attempt: number,
  firstMs: number,
  { factor = 2, maxMs = 5_000, jitter = 0.5 } = {},
): number {
  const longest = Math.min(maxMs, firstMs * factor ** Math.min(attempt - 1, 10))
  return longest * (1 - jitter * Math.random())
}

/** Resolves after `ms`, or as soon as the signal aborts. */
export const sleep = (ms: number, signal: AbortSignal): Promise<void> =>
  delay(ms, undefined, { signal }).catch(() => {})
