// From a line to its place in a batch: what is derived from an alert is derived here, whether it was
// just read or comes back from the spool.

import type { Alert, LineReject } from '../../shared/alert/alert.ts'
import { createKinds, type Kind } from './alert-kinds.ts'
import { append, type Batch } from './batch.ts'

export interface Encoder {
  /** What `bytes[start, end)` is, or why it is no alert. */
  read(bytes: Buffer, start: number, end: number): Kind | LineReject
  /** The alert that was read last, or no more of it than the fields that we look at. */
  alert(): Alert
  /** Adds the line that was read last. */
  add(batch: Batch, kind: Kind, bytes: Buffer, start: number, end: number): void
  /**
   * Adds lines that were alerts when they were spooled, but for those of severity `except`. Gives
   * how many are no longer alerts. One for which something is thrown goes to `onFailure`.
   */
  addLines(batch: Batch, lines: Buffer, except?: number): number
}

/** `line` is valid during the call only. */
export type OnFailure = (line: Buffer, error: unknown) => void

const NEWLINE = 0x0a

export function createEncoder(
  subjectFor: (alert: Alert) => string,
  /** None: alerts go without headers. */
  headersFor?: (alert: Alert) => Buffer,
  onFailure: OnFailure = rethrow,
): Encoder {
  const kinds = createKinds(subjectFor, headersFor)
  const encoder: Encoder = {
    read: kinds.read,
    alert: kinds.alert,
    add(batch, kind, bytes, start, end) {
      append(batch, kind, bytes, start, end, kinds.time())
    },
    addLines(batch, lines, except) {
      let unreadable = 0
      for (let start = 0, end: number; start < lines.length; start = end + 1) {
        const newline = lines.indexOf(NEWLINE, start)
        end = newline < 0 ? lines.length : newline
        try {
          const kind = encoder.read(lines, start, end)
          if (typeof kind === 'string') unreadable++
          else if (kind.severity !== except) encoder.add(batch, kind, lines, start, end)
        } catch (error) {
          onFailure(lines.subarray(start, end), error)
        }
      }
      return unreadable
    },
  }
  return encoder
}

function rethrow(_: Buffer, error: unknown): never {
  throw error
}
