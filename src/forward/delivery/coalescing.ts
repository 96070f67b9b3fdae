// At a low rate each read is written at once, but its batch stays open a little longer, so that one PING
// follows several: the PONG wakes the process up, which costs as much as an alert does.

import type { Clock } from '../../shared/clock.ts'
import type { Notifier } from '../../shared/notifier.ts'
import type { Counters } from '../accounting/counters.ts'
import { type InFlight, inFlightOf, moveTo } from '../buffer/in-flight.ts'
import type { Batch } from '../encoding/batch.ts'
import { messageStart } from '../encoding/messages.ts'
import type { Session } from './session.ts'
import type { Transport } from './transport.ts'

/** A batch stays open for at most this time after the one before it was closed. */
const OPEN_MS = 10
/** A low rate: at most this much in the batch, and in one write. */
const OPEN_BYTES = 32 * 1024
const WRITE_BYTES = 8 * 1024

export function createCoalescing(
  writePartial: Transport['writePartial'],
  {
    counters,
    stateChanged,
    clock,
  }: { readonly counters: Counters; readonly stateChanged: Notifier; readonly clock: Clock },
) {
  /** The batch being filled, once some of it is written. */
  let partial: InFlight | undefined
  let isOpen = false
  let closedAt = 0

  function write(session: Session, batch: Batch): boolean {
    // The batch before it was taken and is not put yet.
    if (partial && partial.batch !== batch) return false
    const from = partial?.session === session ? partial.written : 0
    if (batch.used - messageStart(batch, from) >= WRITE_BYTES) return false
    if (!writePartial?.(session, batch, from)) return false
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
    /** Writes the new alerts of the batch being filled. False: it does not stay open. */
    write(session: Session | undefined, batch: Batch): boolean {
      const left = closedAt + OPEN_MS - clock.now()
      const wasOpen = isOpen
      isOpen = left > 0 && batch.used < OPEN_BYTES && session !== undefined && write(session, batch)
      if (isOpen && !wasOpen) clock.after(left, expire)
      return isOpen
    },
    /** The batch is closed. Returns its record, if some of it is written. */
    close(batch: Batch): InFlight | undefined {
      isOpen = false
      closedAt = clock.now()
      const closed = partial?.batch === batch ? partial : undefined
      if (closed) partial = undefined
      return closed
    },
  }
}
