// How one batch gets from us to the server over one session, and how it is known to have arrived.

import { setImmediate as afterPoll } from 'node:timers/promises'
import type { DeliveryReject } from '../accounting/rejects.ts'
import { type Batch, messageAt, sizeAt, subjectAt } from '../encoding/batch.ts'
import type { Session } from './session.ts'

/** An alert that the server does not take, now or ever. `detail` is for the log. */
export interface Refusal {
  readonly reason: DeliveryReject
  readonly detail: Record<string, unknown>
}

/**
 * Publishes a batch. Resolves, with what was refused, when the server has answered for every alert
 * in it. When the session ends before, it never settles, or rejects: then the batch is published
 * again, whole, on the next session. Batches settle in the order in which they were given.
 */
export interface Transport {
  (session: Session, batch: Batch): Promise<readonly Refusal[]>
  /** Is told of each new session, before its first batch. */
  readonly opened?: (session: Session) => void
  /** Writes what has come into a batch that is still being filled, and asks for no answer. False: it has not. */
  readonly early?: (session: Session, batch: Batch) => boolean
}

/** Core NATS: an alert is delivered when the server has answered a PING that follows it. */
export const coreNats: Transport = Object.assign(publish, { early: writeEarly })

function writeEarly(session: Session, batch: Batch): boolean {
  if (batch.longest > session.maxPayload) return false
  session.write(batch.bytes.subarray(unsent(session, batch).bytes, batch.used), true)
  batch.sentOn = session
  batch.sentBytes = batch.used
  batch.sentCount = batch.count
  return true
}

/** From where on. */
const unsent = (session: Session, { sentOn, sentBytes, sentCount }: Batch) =>
  sentOn === session ? { bytes: sentBytes, alerts: sentCount } : { bytes: 0, alerts: 0 }

async function publish(session: Session, batch: Batch): Promise<readonly Refusal[]> {
  // The server may change its mind about this before it confirms; what counts is what was sent.
  const { maxPayload } = session
  const from = unsent(session, batch)
  if (batch.longest <= maxPayload) session.write(batch.bytes.subarray(from.bytes, batch.used))
  else
    for (let index = from.alerts; index < batch.count; index++)
      if (sizeAt(batch, index) <= maxPayload) session.write(messageAt(batch, index))
  await session.confirm()
  // What the server refused it said before the PONG, but the client reports it by another way,
  // a few microtasks longer; all of them have run by then.
  await afterPoll()
  return refusals(session, batch, maxPayload)
}

function refusals({ denied }: Session, batch: Batch, maxPayload: number): Refusal[] {
  const refused: Refusal[] = []
  for (let index = 0; index < batch.count; index++) {
    if (batch.longest <= maxPayload && denied.size === 0) break
    const subject = subjectAt(batch, index).toString('latin1')
    const bytes = sizeAt(batch, index)
    if (bytes > maxPayload) refused.push(tooLarge(subject, bytes, maxPayload))
    else if (takeDenial(denied, subject)) refused.push(denial(subject))
  }
  return refused
}

export const tooLarge = (subject: string, bytes: number, maxPayload: number): Refusal => ({
  reason: 'exceeds_max_payload',
  detail: { subject, bytes, maxPayload },
})

export const denial = (subject: string): Refusal => ({
  reason: 'permission_denied',
  detail: { subject },
})

/** Whether one more message on the subject was denied; each denial stands for one message. */
export function takeDenial(denied: Session['denied'], subject: string): boolean {
  const denials = denied.get(subject) ?? 0
  if (denials === 1) denied.delete(subject)
  else if (denials > 1) denied.set(subject, denials - 1)
  return denials > 0
}
