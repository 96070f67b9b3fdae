// The one record of a batch in flight: written, at least in part, and not confirmed.

import type { Counters } from '../accounting/counters.ts'
import type { Batch } from '../encoding/batch.ts'
import type { Row } from './spool/spool.ts'

export interface InFlight {
  readonly batch: Batch
  /** Its row, while it is in the spool, too. */
  row: Row | undefined
  /** The connection to which the first `written` of its alerts were written. */
  session: object | undefined
  written: number
  /** When the last of it was written, by `performance.now()`. */
  publishedAt: number
}

export const inFlightOf = (batch: Batch, row?: Row): InFlight => ({
  batch,
  row,
  session: undefined,
  written: 0,
  publishedAt: 0,
})

/** From now on it is written to `session`. What an earlier one was given, another gets once more. */
export function moveTo(session: object, flight: InFlight, counters: Counters): void {
  if (flight.session === session) return
  counters.resent += flight.written
  flight.session = session
  flight.written = 0
}
