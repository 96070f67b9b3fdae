// With JetStream: workers that pull one message at a time from a playbook's consumer, and keep doing
// so whatever becomes of stream, consumer and connection.

import { setTimeout as delay } from 'node:timers/promises'
import type { Msg, NatsConnection } from 'nats'
import { backoff } from '../../shared/backoff.ts'
import { messageOf } from '../../shared/errors.ts'
import type { Logger } from '../../shared/log.ts'
import type { Playbook } from '../playbook/playbook.ts'
import { ACK_WAIT_MS, bindConsumer, streamFor } from './consumer.ts'
import { ACK, type BoundConsumer, deliveryOf, nak, pull, TERM, WORKING } from './pull.ts'
import type { Desk } from './settlement.ts'

/** Where the alerts of one playbook come from. */
export interface Intake {
  /** Whether alerts can come. */
  isReady(): boolean
  /** Resolves after a stop, when all that was begun is over. */
  readonly finished: Promise<void>
}

export interface ConsumeParts {
  readonly connection: NatsConnection
  readonly playbook: Playbook
  readonly desk: Desk
  /** Undefined: the one that takes the playbook's subjects. */
  readonly stream: string | undefined
  readonly prefix: string
  readonly log: Logger
  readonly stop: AbortSignal
}

const WORKING_MS = ACK_WAIT_MS / 3
const REBIND_FIRST_MS = 250
/** How far the clocks of us and of the NATS server may be apart. To act again does no harm. */
const CLOCKS_MS = 2_000

export function consume(parts: ConsumeParts): Intake {
  const { playbook, stop } = parts
  const binding = createBinding(parts)
  const workers = Array.from({ length: playbook.concurrency }, async () => {
    while (!stop.aborted) {
      const consumer = await binding.current()
      if (consumer === undefined) return
      try {
        const messages = await pull(parts.connection, consumer, stop)
        binding.works()
        for (const message of messages) await take(parts, message)
      } catch (error) {
        await binding.lost(consumer, error)
      }
    }
  })
  return { isReady: binding.isThere, finished: Promise.all(workers).then(() => {}) }
}

async function take({ playbook, desk, log }: ConsumeParts, message: Msg): Promise<void> {
  const answer = (text: string) => {
    try {
      message.respond(text)
    } catch (error) {
      log.debug({ playbook: playbook.name, reason: messageOf(error) }, 'cannot acknowledge')
    }
  }
  const working = setInterval(() => answer(WORKING), WORKING_MS)
  try {
    const fate = await desk.treat(playbook, {
      subject: message.subject,
      payload: message.data,
      msgIdHeader: message.headers?.get('Nats-Msg-Id') || undefined,
      delivery: deliveryOf(message),
    })
    answer(fate.kind === 'over' ? ACK : fate.kind === 'again' ? nak(fate.afterMs) : TERM)
  } finally {
    clearInterval(working)
  }
}

/** The consumer that the workers share, found or made again whenever one of them has lost it. */
function createBinding({
  connection,
  playbook,
  stream: givenStream,
  prefix,
  log,
  stop,
}: ConsumeParts) {
  const told = { playbook: playbook.name }
  /** What has been said since alerts last came, or could have. */
  const saidTroubles = new Set<string>()
  let failures = 0
  let there = false
  /** When we last had an answer by the consumer, or had just made it. */
  let alive: number | undefined
  let current: Promise<BoundConsumer | undefined> | undefined

  function trouble(error: unknown): void {
    there = false
    failures++
    const reason = messageOf(error)
    if (stop.aborted || saidTroubles.has(reason)) return
    saidTroubles.add(reason)
    log.warn({ ...told, reason }, 'cannot get alerts, will keep trying')
  }

  /** Pauses, but for the first time: a consumer may be there and still give nothing. */
  async function bind(): Promise<BoundConsumer | undefined> {
    for (;;) {
      const pause = failures === 0 ? 0 : backoff(failures, REBIND_FIRST_MS)
      await delay(pause, undefined, { signal: stop }).catch(() => {})
      if (stop.aborted) return undefined
      try {
        const stream = givenStream ?? (await streamFor(connection, playbook.on))
        if (stream === undefined)
          throw new Error(`no stream takes all of ${playbook.on.join(', ')}; --stream names one`)
        const name = `${prefix}-${playbook.name}`
        const since = alive === undefined ? undefined : new Date(alive - CLOCKS_MS)
        await bindConsumer(connection, stream, name, playbook.on, since)
        alive ??= Date.now()
        there = true
        if (failures === 0 || saidTroubles.size > 0)
          log.info({ ...told, stream, consumer: name, on: playbook.on }, 'waiting for alerts')
        return { stream, name }
      } catch (error) {
        trouble(error)
      }
    }
  }

  return {
    isThere: () => there,
    /** Undefined when it is time to stop. */
    current: () => {
      current ??= bind()
      return current
    },
    works(): void {
      alive = Date.now()
      failures = 0
      saidTroubles.clear()
    },
    async lost(consumer: BoundConsumer, error: unknown): Promise<void> {
      if (current === undefined || (await current) !== consumer) return
      trouble(error)
      current = undefined
    },
  }
}
