// From an alert to its place in a batch: what is derived from it is derived here, whether it was
// just read or comes back from the spool.

import { type Alert, parseAlert, priorityIndex } from './alert.ts'
import { append, type Batch } from './batch.ts'
import { createClockReader } from './time.ts'

export interface Encoder {
  /** Index into PRIORITIES; what Falco does not know cannot be judged: it counts as most severe. */
  severity(alert: Alert): number
  add(batch: Batch, alert: Alert, severity: number, bytes: Buffer, start: number, end: number): void
  /**
   * Adds lines that were alerts when they were spooled, but for those of severity `except`. Gives
   * how many are no longer alerts.
   */
  addLines(batch: Batch, lines: Buffer, except?: number): number
}

const NEWLINE = 0x0a

export function createEncoder(
  subjectFor: (alert: Alert) => string,
  /** None: alerts go without headers. */
  headersFor?: (alert: Alert) => Buffer,
): Encoder {
  const timeOf = createClockReader()
  const severity = (alert: Alert) => priorityIndex(alert.priority) ?? 0
  const encoder: Encoder = {
    severity,
    add(batch, alert, severity, bytes, start, end) {
      const time = timeOf(alert.time)
      append(batch, subjectFor(alert), severity, bytes, start, end, time, headersFor?.(alert))
    },
    addLines(batch, lines, except) {
      let unreadable = 0
      for (let start = 0, end: number; start < lines.length; start = end + 1) {
        end = lines.indexOf(NEWLINE, start)
        const alert = parseAlert(lines, start, end)
        if (typeof alert === 'string') {
          unreadable++
          continue
        }
        const level = severity(alert)
        if (level !== except) encoder.add(batch, alert, level, lines, start, end)
      }
      return unreadable
    },
  }
  return encoder
}
