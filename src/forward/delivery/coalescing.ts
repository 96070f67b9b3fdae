// At a low rate each read is written at once, but its batch stays open a little longer, so that one PING
// follows several: the PONG wakes the process up, which costs as much as an alert does.

import type { Clock, Timer } from '../../shared/clock.ts'
import type { Notifier } from '../../shared/notifier.ts'
import type { Counters } from '../accounting/counters.ts'
import { type InFlight, inFlightOf, moveTo } from '../buffer/in-flight.ts'
import type { Batch } from '../encoding/batch.ts'
import { messageStart } from '../encoding/messages.ts'
import type { Session } from './session.ts'
import type { Transport } from './transport.ts'

/** A batch stays open for at most this time after the one before it was closed … */
const OPEN_MS = 10
/** … or, where alerts come every few milliseconds, this: more than a pause of reading. */
const [OPEN_LONGER_MS, OFTEN_MS] = [20, 6]
/** At most this much in it, and in one write: what is little, or comes after a pause. */
const LITTLE = { openBytes: 32 * 1024, writeBytes: 8 * 1024 }
const PAUSED = { openBytes: 128 * 1024, writeBytes: 48 * 1024 }
const PAUSE_MS = 1

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
  let expiry: Timer | undefined
  let closedAt = 0
  let askedAt = 0

  function write(session: Session, batch: Batch, writeBytes: number): boolean {
    // The batch before it was taken and is not put yet.
    if (partial && partial.batch !== batch) return false
    const from = partial?.session === session ? partial.written : 0
    if (batch.used - messageStart(batch, from) > writeBytes) return false
    if (!writePartial?.(session, batch, from)) return false
    partial ??= inFlightOf(batch)
    moveTo(session, partial, counters)
    partial.written = batch.count
    return true
  }

  function shut(): void {
    isOpen = false
    expiry?.[Symbol.dispose]()
    expiry = undefined
  }

  function expire(): void {
    shut()
    stateChanged.notify()
  }

  return {
    isOpen: () => isOpen,
    /** Writes the new alerts of the batch being filled. False: it does not stay open. */
    write(session: Session | undefined, batch: Batch): boolean {
      const now = clock.now()
      const pause = now - askedAt
      askedAt = now
      const isOften = pause < OFTEN_MS
      const left = closedAt + (isOften ? OPEN_LONGER_MS : OPEN_MS) - now
      const { openBytes, writeBytes } = pause < PAUSE_MS ? LITTLE : PAUSED
      // The last one before its end takes the PING along.
      const staysOpen = left > (isOften ? pause : 0) && batch.used < openBytes
      if (!staysOpen || !session || !write(session, batch, writeBytes)) shut()
      else {
        isOpen = true
        expiry ??= clock.after(left, expire)
      }
      return isOpen
    },
    /** The batch is closed. Returns its record, if some of it is written. */
    close(batch: Batch): InFlight | undefined {
      shut()
      closedAt = clock.now()
      const closed = partial?.batch === batch ? partial : undefined
      if (closed) partial = undefined
      return closed
    },
  }
}
