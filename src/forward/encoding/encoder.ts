// From a line to its place in a batch, whether it was just read or comes back from the spool.

import { type Alert, type LineReject, parseAlert, priorityIndex } from '../../shared/alert/alert.ts'
import { reportOf } from '../accounting/falco-reports.ts'
import { append, type Batch } from './batch.ts'
import { createKindTable, type Kind } from './kind-table.ts'
import { alertIn, createFound, scan, TIME, timeOf } from './scanner.ts'

export type Encoder = ReturnType<typeof createEncoder>
/** An alert in a line: valid until the next line is read. */
export type Reading = Readonly<Exclude<ReturnType<Encoder['read']>, LineReject>>

const NEWLINE = 0x0a
const NOTHING = Buffer.alloc(0)
const NONE: Kind = {
  severity: 0,
  report: undefined,
  protocolPrefix: NOTHING,
  headers: undefined,
  series: undefined,
}

/** `subjectOf` and `headersOf` are called once for a kind that comes again. `onFailure` must not keep the line. */
export function createEncoder(
  subjectOf: (alert: Alert) => string,
  headersOf?: (alert: Alert) => Buffer | undefined,
  onFailure = (_line: Buffer, error: unknown): void => {
    throw error
  },
) {
  const found = createFound()
  const kindOf = createKindTable(() => {
    alert = alertIn(found)
    return alert ? describe(alert) : 'not_an_alert'
  })
  let alert: Alert | undefined
  const reading = {
    kind: NONE,
    /** When the alert was raised: milliseconds since 1970, or NaN. */
    time: Number.NaN,
    /** The alert, perhaps with no more than the fields that kinds are made of. */
    alert: (): Alert => {
      alert ??= alertIn(found)!
      return alert
    },
  }

  function describe(alert: Alert): Kind {
    const severity = priorityIndex(alert.priority) ?? 0
    const subject = subjectOf(alert)
    const headers = headersOf?.(alert)
    const prefix = headers ? `HPUB ${subject} ${headers.length} ` : `PUB ${subject} `
    return {
      severity,
      report: reportOf(alert),
      protocolPrefix: Buffer.from(prefix),
      headers,
      series: undefined,
    }
  }

  /** Reads `bytes[start, end)`. */
  function read(bytes: Buffer, start: number, end: number): typeof reading | LineReject {
    alert = undefined
    if (scan(bytes, start, end, found)) {
      const kind = kindOf(found)
      if (typeof kind === 'string') return kind
      reading.kind = kind
      reading.time = timeOf(found.line, found.starts[TIME]!, found.ends[TIME]!)
    } else {
      const parsed = parseAlert(bytes, start, end)
      if (typeof parsed === 'string') return parsed
      alert = parsed
      reading.kind = describe(parsed)
      reading.time = typeof parsed.time === 'string' ? Date.parse(parsed.time) : Number.NaN
    }
    return reading
  }

  return {
    read,

    /**
     * Adds lines that were alerts when they were spooled, but for those of severity `except`. Returns how many are
     * no longer alerts. A line for which something is thrown goes to `onFailure`.
     */
    addLines(batch: Batch, lines: Buffer, except?: number): number {
      let unreadable = 0
      for (let start = 0, end: number; start < lines.length; start = end + 1) {
        const newline = lines.indexOf(NEWLINE, start)
        end = newline < 0 ? lines.length : newline
        try {
          const found = read(lines, start, end)
          if (typeof found === 'string') unreadable++
          else if (found.kind.severity !== except) append(batch, found, lines, start, end)
        } catch (error) {
          onFailure(lines.subarray(start, end), error)
        }
      }
      return unreadable
    },
  }
}
