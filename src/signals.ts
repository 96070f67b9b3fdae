// Signals of the system, as signals of ours.

/** The first SIGTERM, SIGINT or SIGHUP asks for an orderly stop, the second for an end at once. */
export function stopSignals(): { stop: AbortSignal; abandon: AbortSignal } {
  const stop = new AbortController()
  const abandon = new AbortController()
  for (const name of ['SIGTERM', 'SIGINT', 'SIGHUP'] as const)
    process.on(name, () => (stop.signal.aborted ? abandon : stop).abort())
  return { stop: stop.signal, abandon: abandon.signal }
}
