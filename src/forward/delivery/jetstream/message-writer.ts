// Messages with a reply subject: gathered during a turn of the event loop for one write, and counted as they arrive.

import type { Clock } from '../../../shared/clock.ts'
import { messageOf } from '../../../shared/errors.ts'
import type { Batch } from '../../encoding/batch.ts'
import { MESSAGE_ID_LINE_LENGTH, messageIdLine, VERSION_LINE } from '../../encoding/headers.ts'
import {
  headersStart,
  messageStart,
  payloadAt,
  sizeAt,
  subjectStart,
} from '../../encoding/messages.ts'
import type { Session } from '../session.ts'

const COMMAND = 'HPUB '
const LINE_END = '\r\n'
const SPACE = 0x20
/** Messages are gathered in slabs of this size. None is reused: written bytes must not change. */
const SLAB_BYTES = 64 * 1024

/** The size that max_payload limits: the alert, its headers and its id. */
export const sizeWithId = (batch: Batch, index: number): number =>
  sizeAt(batch, index) +
  MESSAGE_ID_LINE_LENGTH +
  (hasHeaders(batch, index) ? 0 : VERSION_LINE.length + LINE_END.length)

const hasHeaders = (batch: Batch, index: number) =>
  headersStart(batch, index) < batch.starts[index]!

export function createMessageWriter(session: Session, { afterPoll }: Clock) {
  let slab = Buffer.alloc(0)
  /** `slab[start, end)` is added and not written. */
  let [start, end] = [0, 0]
  let added = 0
  let arrived = 0
  let confirming = false

  function flush(): void {
    if (start === end) return
    session.write(slab.subarray(start, end))
    start = end
  }

  async function confirmAll(onArrival: () => void): Promise<void> {
    confirming = true
    while (arrived < added && !session.isClosed()) {
      flush()
      const upTo = added
      // It rejects only when the session is over, although `closed` has not resolved yet.
      await session.confirm().catch((error) => session.close(messageOf(error)))
      // Denials are known a few microtasks later: see core-nats.ts.
      await afterPoll()
      arrived = upTo
      onArrival()
    }
    confirming = false
  }

  return {
    /** Alert `index` of the batch, with its id as a header. Returns the message's number, counted from 1. */
    add(batch: Batch, index: number, reply: string): number {
      if (start === end) queueMicrotask(flush)
      const { bytes, starts, ends } = batch
      const payload = payloadAt(batch, index)
      const size = sizeWithId(batch, index)
      const others = hasHeaders(batch, index)
      const middle = ` ${reply} ${size - payload.length} ${size}\r\n${VERSION_LINE}${messageIdLine(payload)}${others ? '' : LINE_END}`
      const messageEnd = ends[index]! + LINE_END.length
      const max = COMMAND.length + middle.length + messageEnd - messageStart(batch, index)
      if (end + max > slab.length) {
        flush()
        slab = Buffer.allocUnsafeSlow(Math.max(max, SLAB_BYTES))
        start = end = 0
      }
      end += slab.write(COMMAND, end, 'latin1')
      for (let at = subjectStart(batch, index); bytes[at] !== SPACE; at++) slab[end++] = bytes[at]!
      end += slab.write(middle, end, 'latin1')
      // The other headers, the alert and its line end stand together.
      const rest = others ? headersStart(batch, index) + VERSION_LINE.length : starts[index]!
      end += bytes.copy(slab, end, rest, messageEnd)
      return ++added
    },
    /** Messages up to this number have reached the server. */
    arrived: () => arrived,
    /** Asks, once at a time, whether the server has the messages; calls `onArrival` when it has more of them. */
    confirm(onArrival: () => void): void {
      if (arrived < added && !confirming) void confirmAll(onArrival)
    },
  }
}
