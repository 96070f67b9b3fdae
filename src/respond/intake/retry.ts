// Tries again what fails, and logs each different reason once.

import { backoff, sleep } from '../../shared/backoff.ts'
import { messageOf } from '../../shared/errors.ts'
import type { Logger } from '../../shared/log.ts'

/** No more different reasons are logged until the next success: a server may invent them. */
const REASONS_MAX = 16

/** `line` is logged as a warning, with `fields` and the reason. */
export function createFailures(log: Logger, line: string, fields: object = {}) {
  const reported = new Set<string>()
  let count = 0
  return {
    /** Since the last success. */
    count: () => count,
    add(error: unknown): void {
      count++
      const reason = messageOf(error)
      if (reported.has(reason) || reported.size === REASONS_MAX) return
      reported.add(reason)
      log.warn({ ...fields, reason }, line)
    },
    clear(): void {
      count = 0
      reported.clear()
    },
  }
}

/** Gives what `act` gives when it succeeds; undefined when it was stopped before. Pauses after a failure. */
export async function keepTrying<T>(
  act: () => Promise<T>,
  failures: ReturnType<typeof createFailures>,
  pauseFirstMs: number,
  stop: AbortSignal,
): Promise<T | undefined> {
  for (;;) {
    if (failures.count() > 0) await sleep(backoff(failures.count(), pauseFirstMs), stop)
    if (stop.aborted) return undefined
    try {
      return await act()
    } catch (error) {
      if (!stop.aborted) failures.add(error)
    }
  }
}
