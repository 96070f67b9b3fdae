// What /livez and /readyz judge by. Each gives what is wrong, in plain text, or undefined.

import type { Counters } from '../accounting/counters.ts'
import { STALLED_MS, type Vitals } from '../delivery/sink.ts'

/** Reading that has paused so long, while nothing is on its way to be waited for, is stuck. */
const STUCK_MS = 30_000

/**
 * That it is asked at all shows that the event loop turns, and with it reading. It says nothing of
 * NATS: to restart us does not help there, and loses what is in memory.
 */
export function liveTrouble(
  { pausedSince }: Counters,
  { inFlightAlerts }: Vitals,
): string | undefined {
  const paused = pausedSince === undefined ? 0 : performance.now() - pausedSince
  if (paused <= STUCK_MS || inFlightAlerts > 0) return undefined
  return `reading has paused for ${seconds(paused)} and nothing is on its way`
}

/** `stopping`: whether a stop has been asked for. Once we serve, the pipe is open. */
export function readyTrouble(stopping: boolean): string | undefined {
  return stopping ? 'stopping: what was read is being delivered' : undefined
}

export function natsTrouble({ connected, waitingMs }: Vitals): string | undefined {
  if (!connected) return 'not connected to NATS'
  if (waitingMs <= STALLED_MS) return undefined
  return `NATS has not confirmed anything for ${seconds(waitingMs)}`
}

const seconds = (milliseconds: number) => `${Math.round(milliseconds / 1000)} s`
