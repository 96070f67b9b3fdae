// Why a line or an alert is rejected. One row a reason: its type, counters, exit code, log lines, metrics
// and the README's table all come from the row.

import type { Logger } from '../../shared/log.ts'

interface Row {
  /** A line is rejected when it is read, an alert when NATS refuses it. */
  readonly at: 'reading' | 'delivery'
  /** Why an alert is lost, for the last line of the log. Absent: no alert is lost. */
  readonly lost?: string
  readonly log: string
  /** For the README. */
  readonly meaning: string
}

export const REJECTS = {
  invalid_json: {
    at: 'reading',
    log: 'rejected a line: it is not JSON',
    meaning: 'not JSON: banners, statistics, a fragment of a line whose writer died',
  },
  not_an_alert: {
    at: 'reading',
    log: 'rejected a line: it is JSON but not an alert (no priority or no rule)',
    meaning: 'JSON without a non-empty `priority` and `rule`',
  },
  too_long: {
    at: 'reading',
    log: 'rejected a line: it is longer than --max-line-bytes',
    meaning: 'over `--max-line-bytes`',
  },
  internal_error: {
    // Or of an alert that fails when it comes back from the spool.
    at: 'reading',
    lost: 'failed here, by a bug',
    log: 'lost a line, maybe an alert: this is a bug',
    meaning:
      'falco-nats failed on this line, and on no other: a bug; the log has the error. It may have been an alert',
  },
  exceeds_max_payload: {
    at: 'delivery',
    lost: "over the server's max_payload",
    log: "lost an alert: it is larger than the server's max_payload",
    meaning: "an alert that the server's `max_payload` refuses",
  },
  permission_denied: {
    at: 'delivery',
    lost: 'denied by permissions',
    log: 'lost an alert: the server denies publishing on its subject',
    meaning: 'an alert on a subject that the server denies to this user',
  },
  refused_by_stream: {
    at: 'delivery',
    lost: 'refused by the stream',
    log: 'lost an alert: it is longer than the max_msg_size of the stream',
    meaning: "an alert over the stream's `max_msg_size`",
  },
} as const satisfies Record<string, Row>

export type RejectReason = keyof typeof REJECTS
type RejectAt<Stage extends Row['at']> = {
  [Reason in RejectReason]: (typeof REJECTS)[Reason]['at'] extends Stage ? Reason : never
}[RejectReason]
export type ReadReject = RejectAt<'reading'>
export type DeliveryReject = RejectAt<'delivery'>

/** The table as a list, for code that holds for any reason. */
export const rejectRows = () => Object.entries(REJECTS) as readonly [RejectReason, Row][]

const QUIET_MS = 10_000
const EXCERPT_BYTES = 80

/** Logs rejects at warn: at most one line a reason in 10 s, with how many lines it suppressed since the last. */
export function createRejectLog(log: Logger) {
  const states = new Map<RejectReason, { quietUntil: number; suppressed: number }>()
  return (reason: RejectReason, detail: () => Record<string, unknown>): void => {
    const { quietUntil, suppressed } = states.get(reason) ?? { quietUntil: 0, suppressed: 0 }
    const now = performance.now()
    if (now < quietUntil) {
      states.set(reason, { quietUntil, suppressed: suppressed + 1 })
      return
    }
    log.warn({ reason, ...detail(), suppressed }, REJECTS[reason].log)
    states.set(reason, { quietUntil: now + QUIET_MS, suppressed: 0 })
  }
}

export type RejectLog = ReturnType<typeof createRejectLog>

/** The first bytes of a line, in printable ASCII: anything else is shown as `\xNN`. */
export function excerpt(bytes: Buffer): string {
  const shown = bytes
    .toString('latin1', 0, EXCERPT_BYTES)
    .replace(/[^ -[\]-~]/g, (char) =>
      char === '\\' ? '\\\\' : `\\x${char.charCodeAt(0).toString(16).padStart(2, '0')}`,
    )
  return bytes.length > EXCERPT_BYTES ? `${shown}…` : shown
}
