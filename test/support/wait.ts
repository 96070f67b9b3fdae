// Tests wait for conditions, never for a time to pass.

import { setTimeout as delay } from 'node:timers/promises'

/** What takes this long will never happen, however busy the machine is. */
export const PATIENCE_MS = 60_000

/** For what takes a signal. */
export const soon = () => AbortSignal.timeout(PATIENCE_MS)

/** Resolves with the first truthy value of `condition`; fails with `what` after `timeoutMs`. */
export async function until<T>(
  what: string,
  condition: () => T | Promise<T>,
  timeoutMs = PATIENCE_MS,
): Promise<NonNullable<T>> {
  const deadline = performance.now() + timeoutMs
  for (;;) {
    const value = await condition()
    if (value) return value
    if (performance.now() > deadline) throw new Error(`timed out waiting until ${what}`)
    await delay(10)
  }
}
