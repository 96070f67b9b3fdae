// Asks a JetStream consumer for one message, and the words that acknowledge it.

import { createInbox, type Msg, type NatsConnection, nanos } from 'nats'
import { messageOf } from '../../shared/errors.ts'

export interface BoundConsumer {
  readonly stream: string
  readonly name: string
}

/**
 * Short, since nats-server 2.9 does not wake up a pull that waits for what a changed filter lets
 * through: it sees that only with the next one.
 */
const EXPIRES_MS = 5_000
/** The server reports that it has expired. Where it does not, the server is another one by now. */
const SILENCE_MS = EXPIRES_MS + 2_000
/** What the server answers in place of a message. */
const NOT_FOUND = 404
const EXPIRED = 408
const NO_RESPONDERS = 503

/**
 * No message, one, or seldom more. At a stop, what the server has sent by then is still taken: if
 * it were left, its delivery would count, and it would come again only after half a minute. The client's own
 * `fetch` and `consume` left 28 and 20 in 60 stops of 10 workers at 1,000 alerts/s, this none. (Its `next` leaves
 * none to who waits for it: 4.5 s in an idle stop in place of 1 ms.) Rejects where stream or consumer are not there.
 */
export async function pull(
  connection: NatsConnection,
  { stream, name }: BoundConsumer,
  stop: AbortSignal,
): Promise<Msg[]> {
  const pulled: Msg[] = []
  const over = Promise.withResolvers<void>()
  function receive(error: Error | null, message: Msg): void {
    if (error) {
      over.reject(error)
      return
    }
    const code = message.headers?.code ?? 0
    if (message.subject !== inbox) pulled.push(message)
    if (message.subject !== inbox || code === NOT_FOUND || code === EXPIRED) over.resolve()
    else over.reject(new Error(`JetStream says: ${reasonOf(message)}`))
  }
  const inbox = createInbox(prefixOf(connection))
  const subscription = connection.subscribe(inbox, { callback: receive })
  const end = () => {
    subscription.drain().then(over.resolve, over.reject)
  }
  const silence = setTimeout(() => over.reject(new Error('JetStream does not answer')), SILENCE_MS)
  stop.addEventListener('abort', end)
  try {
    const request = JSON.stringify({ batch: 1, expires: nanos(EXPIRES_MS) })
    connection.publish(`$JS.API.CONSUMER.MSG.NEXT.${stream}.${name}`, request, { reply: inbox })
    if (stop.aborted) end()
    await over.promise
  } catch (error) {
    // It may have come with the trouble.
    if (pulled.length === 0) throw error
  } finally {
    clearTimeout(silence)
    stop.removeEventListener('abort', end)
    if (!subscription.isClosed()) subscription.unsubscribe()
  }
  return pulled
}

/**
 * How often it was delivered, from 1: in the reply subject, `$JS.ACK.<stream>.<consumer>.<deliveries>.…`,
 * since nats-server 2.10 maybe with domain and account before the stream.
 */
export function deliveryOf({ reply = '' }: Msg): number {
  const tokens = reply.split('.')
  return Number(tokens[tokens.length > 9 ? 6 : 4]) || 1
}

export const ACK = '+ACK'
export const WORKING = '+WPI'
/** Without a reason, which older servers do not understand. */
export const TERM = '+TERM'
export const nak = (afterMs: number): string =>
  `-NAK ${JSON.stringify({ delay: nanos(Math.max(1, afterMs)) })}`

function reasonOf({ headers }: Msg): string {
  if (headers?.code === NO_RESPONDERS) return 'there is no such consumer'
  return messageOf(headers?.description || `status ${headers?.code ?? 'unknown'}`)
}

/** As the connection was opened with. */
const prefixOf = (connection: NatsConnection) =>
  (connection as unknown as { options?: { inboxPrefix?: string } }).options?.inboxPrefix
