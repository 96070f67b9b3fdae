// Signals of the system, as signals of ours.

import { systemClock } from '../clock.ts'

export const STOP_SIGNALS = ['SIGTERM', 'SIGINT', 'SIGHUP'] as const

/** The first SIGTERM, SIGINT or SIGHUP asks for an orderly stop, the second for an end at once. */
export function stopSignals(): { stop: AbortSignal; abandon: AbortSignal } {
  const stop = new AbortController()
  const abandon = new AbortController()
  for (const name of STOP_SIGNALS)
    process.on(name, () => (stop.signal.aborted ? abandon : stop).abort())
  return { stop: stop.signal, abandon: abandon.signal }
}

/** When to give up what runs: `graceMs` after a stop, and by hand at once. */
export function giveUpAfter(
  graceMs: number,
  stop: AbortSignal,
  byHand: AbortSignal,
  clock = systemClock,
): AbortSignal {
  const givenUp = new AbortController()
  aborted(byHand).then(() => givenUp.abort())
  aborted(stop).then(() => clock.after(graceMs, () => givenUp.abort()))
  return givenUp.signal
}

/** Resolves when it is aborted, although that may have been before. */
export function aborted(signal: AbortSignal): Promise<undefined> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve(undefined)
    else signal.addEventListener('abort', () => resolve(undefined), { once: true })
  })
}
