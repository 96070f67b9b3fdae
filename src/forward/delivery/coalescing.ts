// While little comes, alerts are written as they are read, into a batch that stays open a little longer, so
// that one PING follows them all: its PONG wakes us up, which costs as much as an alert does.

import type { Notifier } from '../../shared/notifier.ts'
import type { Counters } from '../accounting/counters.ts'
import { type InFlight, inFlightOf, moveTo } from '../buffer/in-flight.ts'
import type { Batch } from '../encoding/batch.ts'
import { messageStart } from '../encoding/messages.ts'
import type { Session } from './session.ts'
import type { Transport } from './transport.ts'

/** A batch stays open until so long after the one before it was closed. */
const OPEN_MS = 10
/** In all, and in one write: more is no longer little. */
const OPEN_BYTES = 32 * 1024
const WRITE_BYTES = 8 * 1024

export function createCoalescing(
  writePartial: NonNullable<Transport['writePartial']>,
  counters: Counters,
  stateChanged: Notifier,
) {
  /** The batch being filled, once something of it is written. */
  let partial: InFlight | undefined
  let isOpen = false
  let closedAt = 0

  function write(session: Session, batch: Batch): boolean {
    // The one before it has been taken and not been put.
    if (partial && partial.batch !== batch) return false
    const from = partial?.session === session ? partial.written : 0
    if (batch.used - messageStart(batch, from) >= WRITE_BYTES) return false
    if (!writePartial(session, batch, from)) return false
    partial ??= inFlightOf(batch)
    moveTo(session, partial, counters)
    partial.written = batch.count
    return true
  }

  function expire(): void {
    isOpen = false
    stateChanged.notify()
  }

  return {
    isOpen: () => isOpen,

    /** Writes the alerts that are new in the batch being filled. False: it is not to stay open. */
    write(session: Session | undefined, batch: Batch): boolean {
      const left = closedAt + OPEN_MS - performance.now()
      const wasOpen = isOpen
      isOpen = left > 0 && batch.used < OPEN_BYTES && session !== undefined && write(session, batch)
      if (isOpen && !wasOpen) setTimeout(expire, left)
      return isOpen
    },

    /** The batch is closed. Gives its record, when something of it is written. */
    close(batch: Batch): InFlight | undefined {
      isOpen = false
      closedAt = performance.now()
      const closed = partial?.batch === batch ? partial : undefined
      if (closed) partial = undefined
      return closed
    },
  }
}
