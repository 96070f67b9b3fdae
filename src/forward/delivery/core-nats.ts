// Core NATS: an alert is delivered when the server has answered a PING that follows it.

import type { Clock } from '../../shared/clock.ts'
import type { Batch } from '../encoding/batch.ts'
import { messageAt, messageStart, sizeAt, subjectAt } from '../encoding/messages.ts'
import type { Session } from './session.ts'
import { denial, type Refusal, type Transport, takeDenial, tooLarge } from './transport.ts'

export const createCoreNats = ({ afterPoll }: Clock): Transport => ({
  async publish(session, batch, from) {
    // The server may change its limit before it confirms; the limit at the write counts.
    const { maxPayload } = session
    if (batch.longest <= maxPayload) session.write(messagesFrom(batch, from))
    else
      for (let index = from; index < batch.count; index++)
        if (sizeAt(batch, index) <= maxPayload) session.write(messageAt(batch, index))
    await session.confirm()
    // The server reports refusals before the PONG, but the client passes them on a few microtasks later.
    await afterPoll()
    return refusals(session, batch, maxPayload)
  },

  writePartial(session, batch, from) {
    if (batch.longest > session.maxPayload) return false
    session.write(messagesFrom(batch, from), true)
    return true
  },
})

const messagesFrom = (batch: Batch, index: number) =>
  batch.bytes.subarray(messageStart(batch, index), batch.used)

function refusals({ denied }: Session, batch: Batch, maxPayload: number): Refusal[] {
  const refused: Refusal[] = []
  if (batch.longest <= maxPayload && denied.size === 0) return refused
  for (let index = 0; index < batch.count; index++) {
    const subject = subjectAt(batch, index).toString('latin1')
    const bytes = sizeAt(batch, index)
    if (bytes > maxPayload) refused.push(tooLarge(subject, bytes, maxPayload))
    else if (takeDenial(denied, subject)) refused.push(denial(subject))
  }
  return refused
}
