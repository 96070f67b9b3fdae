// Messages that want an answer, gathered in the course of a turn of the event loop for one write.

import {
  type Batch,
  headersStart,
  messageStart,
  payloadAt,
  sizeAt,
  subjectStart,
} from '../../encoding/batch.ts'
import { MESSAGE_ID_LINE_LENGTH, messageIdLine, VERSION_LINE } from '../../encoding/headers.ts'
import type { Session } from '../session.ts'

export interface Outbox {
  /** Alert `index` of the batch, with its id as a header. The batch must stay what it is until `flush`. */
  add(batch: Batch, index: number, reply: string): void
  /** Writes what was added; it also happens by itself, before the next event is handled. */
  flush(): void
}

const COMMAND = 'HPUB '
const LINE_END = '\r\n'
const SPACE = 0x20

/** What counts for max_payload: the alert and its headers, and the id. */
export const sizeWithId = (batch: Batch, index: number): number =>
  sizeAt(batch, index) +
  MESSAGE_ID_LINE_LENGTH +
  (hasHeaders(batch, index) ? 0 : VERSION_LINE.length + LINE_END.length)

const hasHeaders = (batch: Batch, index: number) =>
  headersStart(batch, index) < batch.starts[index]!

export function createOutbox(session: Session): Outbox {
  const batches: Batch[] = []
  const indexes: number[] = []
  /** What stands between the subject and what follows the id. */
  const middles: string[] = []
  let most = 0

  function flush(): void {
    if (batches.length === 0) return
    const messages = Buffer.allocUnsafeSlow(most)
    let at = 0
    for (let which = 0; which < batches.length; which++) {
      const [batch, index] = [batches[which]!, indexes[which]!]
      const { bytes, starts, ends } = batch
      at += messages.write(COMMAND, at, 'latin1')
      for (let from = subjectStart(batch, index); bytes[from] !== SPACE; from++)
        messages[at++] = bytes[from]!
      at += messages.write(middles[which]!, at, 'latin1')
      // The other headers, the alert and its line end stand together.
      const rest = hasHeaders(batch, index)
        ? headersStart(batch, index) + VERSION_LINE.length
        : starts[index]!
      at += bytes.copy(messages, at, rest, ends[index]! + LINE_END.length)
    }
    batches.length = indexes.length = middles.length = most = 0
    session.write(messages.subarray(0, at))
  }

  return {
    add(batch, index, reply) {
      if (batches.length === 0) queueMicrotask(flush)
      const payload = payloadAt(batch, index)
      const size = sizeWithId(batch, index)
      const end = hasHeaders(batch, index) ? '' : LINE_END
      const middle = ` ${reply} ${size - payload.length} ${size}\r\n${VERSION_LINE}${messageIdLine(payload)}${end}`
      batches.push(batch)
      indexes.push(index)
      middles.push(middle)
      const message = batch.ends[index]! + LINE_END.length - messageStart(batch, index)
      most += COMMAND.length + message + middle.length
    },
    flush,
  }
}
