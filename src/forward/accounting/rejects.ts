// Why a line or an alert is rejected. One row of rejects.json a reason: its type, counters, exit code, log lines,
// metrics and the README's table all come from the row.

import type { Clock } from '../../shared/clock.ts'
import type { Logger } from '../../shared/log.ts'
import TABLE from './rejects.json' with { type: 'json' }

interface Row {
  /** Why an alert is lost, for the last line of the log. Absent: no alert is lost. */
  readonly lost?: string
  readonly log: string
  /** For the README. */
  readonly meaning: string
}

/** A line is rejected when it is read, at first or again from the spool; an alert when NATS refuses its delivery. */
export const REJECTS = TABLE satisfies Record<string, Record<string, Row>>

export type ReadReject = keyof typeof REJECTS.reading
export type DeliveryReject = keyof typeof REJECTS.delivery
export type RejectReason = ReadReject | DeliveryReject

/** By reason, for code that holds for any. */
export const allRejects = (): Readonly<Record<RejectReason, Row>> => ({
  ...REJECTS.reading,
  ...REJECTS.delivery,
})

const QUIET_MS = 10_000
const EXCERPT_BYTES = 80

/** Logs rejects at warn: at most one line a reason in 10 s, with how many lines it suppressed since the last. */
export function createRejectLog(log: Logger, clock: Clock) {
  const states = new Map<RejectReason, { quietUntil: number; suppressed: number }>()
  return (reason: RejectReason, detail: () => Record<string, unknown>): void => {
    const state = states.get(reason)
    const now = clock.now()
    if (state && now < state.quietUntil) state.suppressed++
    else {
      const suppressed = state?.suppressed ?? 0
      log.warn({ reason, ...detail(), suppressed }, allRejects()[reason].log)
      states.set(reason, { quietUntil: now + QUIET_MS, suppressed: 0 })
    }
  }
}

export type RejectLog = ReturnType<typeof createRejectLog>

/** The first bytes of a line, in printable ASCII: anything else is shown as `\xNN`. */
export function excerpt(bytes: Buffer): string {
  const shown = bytes
    .toString('latin1', 0, EXCERPT_BYTES)
    .replaceAll('\\', '\\\\')
    .replace(/[^ -~]/g, (char) => `\\x${Buffer.from(char, 'latin1').toString('hex')}`)
  return bytes.length > EXCERPT_BYTES ? `${shown}…` : shown
}
