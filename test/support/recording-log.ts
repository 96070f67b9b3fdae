// A log whose lines a test can look at.

import pino from 'pino'

export function recordingLog() {
  const lines: Record<string, unknown>[] = []
  const log = pino(
    { base: null, timestamp: false },
    { write: (line) => lines.push(JSON.parse(line)) },
  )
  return { log, lines }
}
