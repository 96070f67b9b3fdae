// How long to wait before the next try.

const MOST_MS = 5_000

/**
 * Milliseconds before try `attempt` (from 1): doubles from `firstMs` to 5 s; half of it is left to
 * chance, so that a cluster does not knock as one.
 */
export function backoff(attempt: number, firstMs: number): number {
  const most = Math.min(MOST_MS, firstMs * 2 ** Math.min(attempt - 1, 10))
  return most * (0.5 + Math.random() / 2)
}
