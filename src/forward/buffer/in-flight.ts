// The one record of a batch in flight: written, at least in part, or about to be, and not confirmed.

import type { Counters } from '../accounting/counters.ts'
import type { Batch } from '../encoding/batch.ts'
import type { Row } from './spool/spool.ts'

export interface InFlight {
  readonly batch: Batch
  /** Its row, while it is in the spool, too. */
  row: Row | undefined
  /** Where the first `written` of its alerts were written. */
  session: object | undefined
  written: number
  /** When all of it was written, by `performance.now()`. */
  publishedAt: number
}

export const inFlightOf = (batch: Batch, row?: Row): InFlight => {
  return { batch, row, session: undefined, written: 0, publishedAt: 0 }
}

/** It is written to `session` now. What an earlier session was given of it counts as resent. */
export function moveTo(session: object, flight: InFlight, counters: Counters): void {
  if (flight.session === session) return
  counters.resent += flight.written
  flight.session = session
  flight.written = 0
}
