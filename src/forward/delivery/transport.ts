// How batches get to the server over one session, confirmed: core-nats.ts, jetstream/.

import type { DeliveryReject } from '../accounting/rejects.ts'
import type { Batch } from '../encoding/batch.ts'
import type { Session } from './session.ts'

export interface Transport {
  /** Called with each new session, before its first batch. */
  readonly opened?: (session: Session) => void
  /**
   * Publishes a batch of which the first `from` alerts are written. Resolves, with the refusals, in the order
   * of the calls, when the server has answered for every alert. If the session ends first, it rejects or
   * never settles, and the publisher publishes the whole batch again on the next.
   */
  publish(session: Session, batch: Batch, from: number): Promise<readonly Refusal[]>
  /** Writes the alerts from `from` on of a batch that is being filled, and asks for no answer. False: it did not. */
  readonly writePartial?: (session: Session, batch: Batch, from: number) => boolean
}

/** An alert that the server will never take. `detail` is for the log. */
export interface Refusal {
  readonly reason: DeliveryReject
  readonly detail: Record<string, unknown>
}

export const tooLarge = (subject: string, bytes: number, maxPayload: number): Refusal => ({
  reason: 'exceeds_max_payload',
  detail: { subject, bytes, maxPayload },
})

export const denial = (subject: string): Refusal => ({
  reason: 'permission_denied',
  detail: { subject },
})

/** Uses up one denial of the subject: each is for one message. False: there is none. */
export function takeDenial(denied: Session['denied'], subject: string): boolean {
  const denials = denied.get(subject) ?? 0
  if (denials === 1) denied.delete(subject)
  else if (denials > 1) denied.set(subject, denials - 1)
  return denials > 0
}
