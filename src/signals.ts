// Signals of the system, as signals of ours.

/** The first SIGTERM, SIGINT or SIGHUP asks for an orderly stop, the second for an end at once. */
export function stopSignals(): { stop: AbortSignal; abandon: AbortSignal } {
  const stop = new AbortController()
  const abandon = new AbortController()
  for (const name of ['SIGTERM', 'SIGINT', 'SIGHUP'] as const)
    process.on(name, () => (stop.signal.aborted ? abandon : stop).abort())
  return { stop: stop.signal, abandon: abandon.signal }
}

/** When to give up what runs: `graceMs` after a stop, and by hand at once. */
export function giveUpAfter(graceMs: number, stop: AbortSignal, byHand: AbortSignal): AbortSignal {
  const givenUp = new AbortController()
  byHand.addEventListener('abort', () => givenUp.abort())
  stop.addEventListener('abort', () => setTimeout(() => givenUp.abort(), graceMs).unref())
  return givenUp.signal
}
