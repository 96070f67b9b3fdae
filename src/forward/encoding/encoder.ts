// From a line to its place in a batch, whether it was just read or comes back from the spool.

import {
  type Alert,
  isAlert,
  type LineReject,
  parseAlert,
  priorityIndex,
} from '../../shared/alert/alert.ts'
import { append, type Batch } from './batch.ts'
import { createKindTable, type Kind } from './kind-table.ts'
import { alertIn, createFound, scan, TIME, timeOf } from './scanner.ts'

/** What a line is: valid until the next is read. */
export interface Reading {
  readonly kind: Kind
  /** When the alert was raised: milliseconds since 1970, or NaN. */
  readonly time: number
  /** The alert, perhaps with no more than the fields that kinds are made of. */
  readonly alert: () => Alert
}

export type Encoder = ReturnType<typeof createEncoder>

/** `line` is valid during the call only. */
export type OnFailure = (line: Buffer, error: unknown) => void

const NEWLINE = 0x0a
const NOTHING = Buffer.alloc(0)
const NONE: Kind = { severity: 0, protocolPrefix: NOTHING, headers: undefined, series: undefined }

/** `subjectOf` and `headersOf` are asked once for alerts of a kind that comes again. */
export function createEncoder(
  subjectOf: (alert: Alert) => string,
  headersOf?: (alert: Alert) => Buffer | undefined,
  onFailure: OnFailure = (_, error) => {
    throw error
  },
) {
  const found = createFound()
  const kindOf = createKindTable(() => {
    const looked = alertIn(found)
    if (!isAlert(looked)) return 'not_an_alert'
    alert = looked
    return describe(looked)
  })
  let alert: Alert | undefined
  const reading = {
    kind: NONE,
    time: Number.NaN,
    alert: () => {
      alert ??= alertIn(found) as Alert
      return alert
    },
  }

  function describe(alert: Alert): Kind {
    const severity = priorityIndex(alert.priority) ?? 0
    const subject = subjectOf(alert)
    const headers = headersOf?.(alert)
    const protocolPrefix = Buffer.from(
      headers === undefined ? `PUB ${subject} ` : `HPUB ${subject} ${headers.length} `,
    )
    return { severity, protocolPrefix, headers, series: undefined }
  }

  /** Reads `bytes[start, end)`; gives why it is no alert where it is none. */
  function read(bytes: Buffer, start: number, end: number): Reading | LineReject {
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
     * Adds lines that were alerts when they were spooled, but for those of severity `except`. Gives
     * how many are no longer alerts. One for which something is thrown goes to `onFailure`.
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
