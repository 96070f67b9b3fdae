// With JetStream: workers that pull one message at a time from a playbook's consumer, and keep doing
// so whatever becomes of stream, consumer and connection.

import type { Msg } from 'nats'
import { messageOf } from '../../shared/errors.ts'
import { type AlertSource, arrivalOf, type SourceParts } from './alert-source.ts'
import { ACK_WAIT_MS, bindConsumer } from './consumer.ts'
import { ACK, type BoundConsumer, deliveryOf, nak, pull, TERM, WORKING } from './pull.ts'
import { createFailures, keepTrying } from './retry.ts'
import { streamFor } from './stream.ts'

export interface ConsumeParts extends SourceParts {
  /** Undefined: the one that takes the playbook's subjects. */
  readonly stream: string | undefined
}

const WORKING_MS = ACK_WAIT_MS / 3
const PAUSE_FIRST_MS = 250
/** How far the clocks of us and of the NATS server may be apart. To act again does no harm. */
const CLOCKS_MS = 2_000

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
  const working = setInterval(answer, WORKING_MS, WORKING)
  try {
    const disposition = await settle(playbook, arrivalOf(message, deliveryOf(message)))
    if (disposition.kind === 'nak') answer(nak(disposition.afterMs))
    else answer(disposition.kind === 'ack' ? ACK : TERM)
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
