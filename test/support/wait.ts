// Tests wait for conditions, never for a time to pass.

import { setTimeout as delay } from 'node:timers/promises'

/** Resolves with the first truthy value of `condition`; fails with `what` after `timeoutMs`. */
export async function until<T>(
  what: string,
  condition: () => T | Promise<T>,
  timeoutMs = 20_000,
): Promise<NonNullable<T>> {
  const deadline = performance.now() + timeoutMs
  for (;;) {
    const value = await condition()
    if (value) return value
    if (performance.now() > deadline) throw new Error(`timed out waiting until ${what}`)
    await delay(10)
  }
}
