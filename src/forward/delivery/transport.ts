// How batches get to the server over one session, and are known to have arrived: core-nats.ts, jetstream/.

import type { DeliveryReject } from '../accounting/rejects.ts'
import type { Batch } from '../encoding/batch.ts'
import type { Session } from './session.ts'

export interface Transport {
  /** Called with each new session, before its first batch. */
  readonly opened?: (session: Session) => void
  /**
   * Publishes a batch of which the first `from` alerts are written. Resolves, with the refusals, when the
   * server has answered for every alert in it, in the order of the calls. When the session ends before, it
   * never settles, or rejects: then the batch is published again, whole, on the next session.
   */
  publish(session: Session, batch: Batch, from: number): Promise<readonly Refusal[]>
  /** Writes the alerts from `from` on of a batch that is still being filled, and asks for no answer. False: it did not. */
  readonly writePartial?: (session: Session, batch: Batch, from: number) => boolean
}

/** An alert that the server does not take, now or ever. `detail` is for the log. */
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

/** Whether one more message on the subject was denied; each denial stands for one message. */
export function takeDenial(denied: Session['denied'], subject: string): boolean {
  const denials = denied.get(subject) ?? 0
  if (denials === 1) denied.delete(subject)
  else if (denials > 1) denied.set(subject, denials - 1)
  return denials > 0
}
