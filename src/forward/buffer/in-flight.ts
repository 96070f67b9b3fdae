// The one record of a batch in flight: how much of it was written, to which session, and its row in the spool.

import type { Counters } from '../accounting/counters.ts'
import type { Batch } from '../encoding/batch.ts'
import type { Row } from './spool/row.ts'

export type InFlight = ReturnType<typeof inFlightOf>

export const inFlightOf = (batch: Batch, row?: Row) => ({
  batch,
  row,
  /** The session to which the first `written` alerts went. */
  session: undefined as object | undefined,
  written: 0,
  /** When all of it was written, by the clock. */
  publishedAt: 0,
})

/** Directs further writes to `session`; what went to another session counts as resent. */
export function moveTo(session: object, flight: InFlight, counters: Counters): void {
  if (flight.session === session) return
  counters.resent += flight.written
  flight.session = session
  flight.written = 0
}
