// Messages that want an answer: gathered in the course of a turn of the event loop for one write, and counted as arrived.

import { setImmediate as afterPoll } from 'node:timers/promises'
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

export interface MessageWriter {
  /** Alert `index` of the batch, with its id as a header. Returns its number, counted from 1. */
  add(batch: Batch, index: number, reply: string): number
  /** Messages up to this number have reached the server. */
  arrived(): number
  /** Asks, once at a time, whether the server has what was added; calls `onArrival` when it has more of it. */
  confirm(onArrival: () => void): void
}

const COMMAND = 'HPUB '
const LINE_END = '\r\n'
const SPACE = 0x20
/** Memory is taken by so much. What was written must stay what it is, so it is never used again. */
const SLAB_BYTES = 64 * 1024

/** What counts for max_payload: the alert and its headers, and the id. */
export const sizeWithId = (batch: Batch, index: number): number =>
  sizeAt(batch, index) +
  MESSAGE_ID_LINE_LENGTH +
  (hasHeaders(batch, index) ? 0 : VERSION_LINE.length + LINE_END.length)

const hasHeaders = (batch: Batch, index: number) =>
  headersStart(batch, index) < batch.starts[index]!

export function createMessageWriter(session: Session): MessageWriter {
  let slab = Buffer.alloc(0)
  /** What is added and not written. */
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
    while (arrived < added && !session.connection.isClosed()) {
      flush()
      const upTo = added
      // It rejects only when the session is over, although that has not been heard yet.
      await session.confirm().catch((error) => session.close(messageOf(error)))
      // See core-nats.ts: what was denied is known a few microtasks later.
      await afterPoll()
      arrived = upTo
      onArrival()
    }
    confirming = false
  }

  return {
    add(batch, index, reply) {
      if (start === end) queueMicrotask(flush)
      const { bytes, starts, ends } = batch
      const payload = payloadAt(batch, index)
      const size = sizeWithId(batch, index)
      const others = hasHeaders(batch, index)
      /** What stands between the subject and what follows the id. */
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
    arrived: () => arrived,
    confirm(onArrival) {
      if (arrived < added && !confirming) void confirmAll(onArrival)
    },
  }
}
