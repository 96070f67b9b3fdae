// With JetStream: workers that pull one alert at a time, whatever becomes of stream, consumer and connection.

import { createInbox, type Msg, type NatsConnection, nanos } from 'nats'
import { messageOf } from '../../shared/errors.ts'
import { ACK_WAIT_MS, bindConsumer } from './consumer.ts'
import { createFailures, keepTrying } from './retry.ts'
import { type AlertSource, arrivalOf, type SourceParts } from './settlement.ts'
import { streamFor } from './stream.ts'

/** `stream`: undefined for the one that takes the playbook's subjects. */
type ConsumeParts = SourceParts & { readonly stream: string | undefined }
type BoundConsumer = { readonly stream: string; readonly name: string }

const WORKING_MS = ACK_WAIT_MS / 3
const PAUSE_FIRST_MS = 250
/** How far the clocks of us and of the NATS server may be apart. To act again does no harm. */
const CLOCKS_MS = 2_000
/** Short: nats-server 2.9 notices a changed filter only at the next pull. */
const EXPIRES_MS = 5_000
/** The server reports that a pull has expired. Where it does not, the server is another one by now. */
const SILENCE_MS = EXPIRES_MS + 2_000
/** Statuses in place of a message: there is none, or none came in time. */
const NO_MESSAGE = [404, 408]
const NO_RESPONDERS = 503

export function consume(parts: ConsumeParts): AlertSource {
  const { connection, playbook, stop } = parts
  const binding = createBinding(parts)
  const workers = Array.from({ length: playbook.concurrency }, async () => {
    while (!stop.aborted) {
      const consumer = await binding.consumer()
      if (consumer === undefined) return
      try {
        const messages = await pull(connection, consumer, stop)
        binding.works()
        for (const message of messages) await settleMessage(parts, message)
      } catch (error) {
        binding.fails(consumer, error)
      }
    }
  })
  return { isReady: binding.isBound, finished: Promise.all(workers).then(() => {}) }
}

async function settleMessage({ playbook, settle, log }: ConsumeParts, message: Msg) {
  const answer = (text: string) => {
    try {
      message.respond(text)
    } catch (error) {
      log.debug({ playbook: playbook.name, reason: messageOf(error) }, 'cannot acknowledge')
    }
  }
  const working = setInterval(answer, WORKING_MS, '+WPI')
  try {
    const disposition = await settle(playbook, arrivalOf(message, deliveryOf(message)))
    if (disposition.kind === 'nak') answer(nak(disposition.afterMs))
    // Without a reason, which older servers do not understand.
    else answer(disposition.kind === 'ack' ? '+ACK' : '+TERM')
  } finally {
    clearInterval(working)
  }
}

/** The consumer that the workers share, found or made again whenever one of them has lost it. */
function createBinding(parts: ConsumeParts) {
  const { connection, playbook, name, log, stop } = parts
  const { on } = playbook
  const fields = { playbook: playbook.name }
  const failures = createFailures(log, 'cannot get alerts, will keep trying', fields)
  let bound: BoundConsumer | undefined
  let binding: Promise<BoundConsumer | undefined> | undefined
  /** When we last had an answer by the consumer, or had just made it. */
  let alive: number | undefined

  async function bind(): Promise<BoundConsumer> {
    const stream = parts.stream ?? (await streamFor(connection, on))
    if (stream === undefined)
      throw new Error(`no stream takes all of ${on.join(', ')}; --stream names one`)
    const since = alive === undefined ? undefined : new Date(alive - CLOCKS_MS)
    await bindConsumer(connection, stream, name, on, since)
    alive ??= Date.now()
    bound = { stream, name }
    log.info({ ...fields, stream, consumer: name, on }, 'waiting for alerts')
    return bound
  }

  return {
    isBound: () => bound !== undefined,
    /** Undefined after a stop. Pauses after a failure: a consumer may be there and still give nothing. */
    consumer() {
      binding ??= keepTrying(bind, failures, PAUSE_FIRST_MS, stop)
      return binding
    },
    works(): void {
      alive = Date.now()
      failures.clear()
    },
    fails(consumer: BoundConsumer, error: unknown): void {
      // Another worker was first, or it is time to stop.
      if (consumer !== bound || stop.aborted) return
      bound = undefined
      binding = undefined
      failures.add(error)
    },
  }
}

/**
 * No message, one, or seldom more. A stop still takes the messages that the server has sent: each is a delivery that
 * counts. (60 stops of 10 workers at 1,000 alerts/s: the client's `fetch` and `consume` left 28 and 20, this none; its
 * `next` leaves none, but takes 4.5 s for an idle stop, this 1 ms.) Rejects where stream or consumer are missing.
 */
export async function pull(
  connection: NatsConnection,
  { stream, name }: BoundConsumer,
  stop: AbortSignal,
): Promise<Msg[]> {
  const pulled: Msg[] = []
  const over = Promise.withResolvers<void>()
  function receive(error: Error | null, message: Msg): void {
    if (error) over.reject(error)
    else if (message.subject !== inbox) {
      pulled.push(message)
      over.resolve()
    } else if (NO_MESSAGE.includes(message.headers?.code ?? 0)) over.resolve()
    else over.reject(new Error(`JetStream says: ${reasonOf(message)}`))
  }
  const inbox = createInbox(prefixOf(connection))
  const subscription = connection.subscribe(inbox, { callback: receive })
  const end = () => void subscription.drain().then(over.resolve, over.reject)
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

/** From 1, of `$JS.ACK.<stream>.<consumer>.<deliveries>.…`; nats-server 2.10 may put domain and account before. */
export function deliveryOf({ reply = '' }: Msg): number {
  const tokens = reply.split('.')
  return Number(tokens[tokens.length > 9 ? 6 : 4]) || 1
}

export const nak = (afterMs: number): string =>
  `-NAK ${JSON.stringify({ delay: nanos(Math.max(1, afterMs)) })}`

function reasonOf({ headers }: Msg): string {
  if (headers?.code === NO_RESPONDERS) return 'there is no such consumer'
  return messageOf(headers?.description || `status ${headers?.code ?? 'unknown'}`)
}

/** As the connection was opened with. */
const prefixOf = (connection: NatsConnection) =>
  (connection as unknown as { options?: { inboxPrefix?: string } }).options?.inboxPrefix
