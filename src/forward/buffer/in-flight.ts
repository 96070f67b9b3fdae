// The one record of a batch in flight: what of it was written, where and when, and its row in the spool.

import type { Counters } from '../accounting/counters.ts'
import type { Batch } from '../encoding/batch.ts'
import type { Row } from './spool/spool.ts'

export interface InFlight {
  readonly batch: Batch
  row: Row | undefined
  /** Where the first `written` of its alerts were written. */
  session: object | undefined
  written: number
  /** When all of it was written, by `performance.now()`. */
  publishedAt: number
}

export const inFlightOf = (batch: Batch, row?: Row): InFlight => ({
  batch,
  row,
  session: undefined,
  written: 0,
  publishedAt: 0,
})

/** From now on it is written to `session`: what an earlier one was given is resent. */
export function moveTo(session: object, flight: InFlight, counters: Counters): void {
  if (flight.session === session) return
  counters.resent += flight.written
  flight.session = session
  flight.written = 0
}
