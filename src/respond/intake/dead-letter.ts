// Dead letters: the alerts that were given up, with the reason.

import { jetstream } from '@nats-io/jetstream'
import { headers, type NatsConnection } from 'nats'
import { headerValue } from '../../shared/nats/header-value.ts'
import type { Arrival } from '../engine/run.ts'
import { DEAD_LETTER_PREFIX } from '../playbook/subject-patterns.ts'
import { streamFor } from './stream.ts'

/** Three values of at most 256 characters, and their names. */
const HEADERS_BYTES_MAX = 2048

/**
 * Stored when it resolves, where a stream takes it. An alert that has no room beside the reason loses
 * its end, and a header gives its whole length.
 */
export async function sendDeadLetter(
  connection: NatsConnection,
  playbook: string,
  { subject, payload, delivery }: Arrival,
  reason: string,
): Promise<void> {
  const about = headers()
  about.set('Falco-Respond-Reason', headerValue(reason))
  about.set('Falco-Respond-Subject', headerValue(subject))
  about.set('Falco-Respond-Deliveries', String(delivery))
  const room = (connection.info?.max_payload ?? Number.POSITIVE_INFINITY) - HEADERS_BYTES_MAX
  const cut = payload.subarray(0, Math.max(0, room))
  if (cut.length < payload.length) about.set('Falco-Respond-Cut-From', String(payload.length))
  const to = `${DEAD_LETTER_PREFIX}${playbook}`
  const stream = await streamFor(connection, [to]).catch(() => undefined)
  if (stream !== undefined) {
    await jetstream(connection).publish(to, cut, { headers: about })
    return
  }
  connection.publish(to, cut, { headers: about })
  await connection.flush()
}
