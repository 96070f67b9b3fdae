// JetStream: an alert is delivered when a stream has stored it and said so.
//
//   waiting ──publish──▶ sent ──PubAck──▶ done
//                         │
//                  refused, or no answer in 5 s
//                         ▼
//                       failed ──after a pause──▶ again ──PubAck──▶ done
//                         ▲                         │
//                         └───── refused again ─────┘
//
// An alert keeps its slot from its first publication to its end, so no more than `maxInFlight` are
// ever on their way, retries included. While any has failed nothing new is published: the oldest
// failed one is tried alone, with backoff, and when it is stored the others follow in order.
// So the order in the stream differs from the order of reading by at most those that were
// on their way behind an alert when it failed.

import { setImmediate as afterPoll } from 'node:timers/promises'
import { createInbox } from 'nats'
import { backoff } from '../../../shared/backoff.ts'
import { messageOf } from '../../../shared/errors.ts'
import type { Logger } from '../../../shared/log.ts'
import type { Counters } from '../../accounting/counters.ts'
import { type Batch, subjectAt } from '../../encoding/batch.ts'
import { denial, type Refusal, type Transport, takeDenial, tooLarge } from '../core-nats.ts'
import type { Session } from '../session.ts'
import {
  type Answer,
  createAnswerReader,
  createTroubleLog,
  type Failure,
  type TroubleLog,
  UNANSWERED,
} from './acks.ts'
import { createOutbox, sizeWithId } from './message-writer.ts'
import { createStreamMaker, type StreamMaker } from './stream.ts'
import type { StreamSettings } from './stream-settings.ts'

const RETRY_FIRST_MS = 250
/** An answer may take this long, counted in ticks from when the server is known to have the alert. */
const ANSWER_TICKS = 5
const TICK_MS = 1000

export interface JetStreamOptions {
  /** The stream that is meant: for `create`, and for what is told of troubles. */
  readonly settings: StreamSettings
  /** Whether to make the stream when it is missing. */
  readonly create: boolean
  readonly maxInFlight: number
  readonly counters: Counters
  readonly log: Logger
}

/** A transport that publishes with acknowledgement, and tries again as long as the session lives. */
export function createJetStreamTransport(options: JetStreamOptions): Transport {
  const troubles = createTroubleLog(options.log, options.settings)
  const makeStream = options.create ? createStreamMaker(options.settings, options.log) : undefined
  const lanes = new WeakMap<Session, Lane>()
  const laneOf = (session: Session): Lane => {
    const lane = lanes.get(session) ?? openLane(session, options, troubles, makeStream)
    lanes.set(session, lane)
    return lane
  }
  const transport: Transport = (session, batch) => laneOf(session).deliver(batch)
  return Object.assign(transport, { opened: laneOf })
}

/** One batch that is not yet stored as a whole. */
interface Delivery {
  readonly batch: Batch
  /** What the batch has; once given back it forgets. */
  readonly count: number
  /** Index of the first alert that has not been published. */
  next: number
  /** How many have no end yet. */
  open: number
  duplicates: number
  readonly refusals: Refusal[]
  readonly done: (refusals: Refusal[]) => void
}

type Lane = ReturnType<typeof openLane>

const [FREE, SENT, FAILED, AGAIN] = [0, 1, 2, 3]

/** All that is on its way over one session: slots, and the batches that wait for one. */
function openLane(
  session: Session,
  { maxInFlight, counters }: JetStreamOptions,
  troubles: TroubleLog,
  makeStream: StreamMaker | undefined,
) {
  const { connection } = session
  const inbox = createInbox(session.inboxPrefix)
  const outbox = createOutbox(session)
  const readAnswer = createAnswerReader()
  /** Batches of which not all is published; batches that are not settled. Both in order. */
  const waiting: Delivery[] = []
  const unsettled: Delivery[] = []

  // Slots. The token of an alert is what the server answers to; it grows, and tells the slot.
  const deliveries: (Delivery | undefined)[] = Array(maxInFlight)
  const indexes = new Uint32Array(maxInFlight)
  const tokens = new Float64Array(maxInFlight)
  const states = new Uint8Array(maxInFlight)
  /** Which publication of this session was the last of the alert. */
  const publications = new Float64Array(maxInFlight)
  const free = Array.from({ length: maxInFlight }, (_, slot) => slot)
  let issued = 0
  let published = 0
  /** Publications up to this one have reached the server. */
  let arrived = 0
  let confirming = false

  let ready = makeStream === undefined
  /** How many are FAILED, and AGAIN. */
  let failed = 0
  let again = 0
  let attempt = 0
  let probe = -1
  let retryTimer: NodeJS.Timeout | undefined

  connection.subscribe(`${inbox}.*`, {
    callback(error, message) {
      // Denied: then nothing is answered, and the advice on timeouts tells of it.
      if (error) return
      const token = Number(message.subject.slice(inbox.length + 1))
      const slot = token % maxInFlight
      // An answer to what has its end already, after a retry: it says nothing new.
      if (tokens[slot] === token && states[slot] !== FREE) settle(slot, readAnswer(message))
    },
  })
  // The client would hold it back for a moment, and the outbox does not wait.
  connection.flush().catch(() => {})
  const marks: number[] = Array(ANSWER_TICKS).fill(0)
  const ticker = setInterval(tick, TICK_MS)
  void session.closed.then(() => {
    clearInterval(ticker)
    clearTimeout(retryTimer)
  })
  void makeStream?.(connection).then(() => {
    ready = true
    pump()
  })

  /** Publishes what waits, as far as there are slots. */
  function pump(): void {
    if (!ready || failed + again > 0 || connection.isClosed()) return
    for (let delivery = waiting[0]; delivery && free.length > 0; delivery = waiting[0]) {
      const index = delivery.next++
      if (delivery.next === delivery.count) waiting.shift()
      const slot = free.pop()!
      deliveries[slot] = delivery
      indexes[slot] = index
      tokens[slot] = issued++ * maxInFlight + slot
      publish(slot, SENT)
    }
    void confirm()
  }

  function publish(slot: number, state: number): void {
    const [{ batch }, index] = [deliveries[slot]!, indexes[slot]!]
    const bytes = sizeWithId(batch, index)
    if (state === AGAIN) counters.resent++
    enter(slot, state)
    if (bytes > session.maxPayload) {
      finish(slot, tooLarge(subjectOf(slot), bytes, session.maxPayload))
      return
    }
    publications[slot] = ++published
    outbox.add(batch, index, `${inbox}.${tokens[slot]}`)
  }

  const subjectOf = (slot: number) =>
    subjectAt(deliveries[slot]!.batch, indexes[slot]!).toString('latin1')

  function enter(slot: number, state: number): void {
    const before = states[slot]
    failed += Number(state === FAILED) - Number(before === FAILED)
    again += Number(state === AGAIN) - Number(before === AGAIN)
    states[slot] = state
  }

  function settle(slot: number, answer: Answer): void {
    if (answer === 'stored' || answer === 'duplicate') {
      if (answer === 'duplicate') deliveries[slot]!.duplicates++
      finish(slot)
    } else if (answer.trouble === 'too_large') {
      const { stream, reason } = answer
      finish(slot, { reason: 'refused_by_stream', detail: { stream, said: reason } })
    } else if (states[slot] !== FAILED) fail(slot, answer)
    pump()
  }

  /** The alert has its end: it is stored, or it never will be. */
  function finish(slot: number, refusal?: Refusal): void {
    const delivery = deliveries[slot]!
    if (refusal) delivery.refusals.push(refusal)
    deliveries[slot] = undefined
    enter(slot, FREE)
    free.push(slot)
    if (slot === probe) {
      probe = -1
      attempt = 0
      for (const other of failedInOrder()) publish(other, AGAIN)
      void confirm()
    }
    if (failed + again === 0) {
      clearTimeout(retryTimer)
      retryTimer = undefined
      if (!refusal) troubles.end()
    }
    delivery.open--
    while (unsettled[0]?.open === 0) {
      const { duplicates, refusals, done } = unsettled.shift()!
      counters.duplicates += duplicates
      done(refusals)
    }
  }

  function fail(slot: number, failure: Failure): void {
    if (slot === probe) probe = -1
    enter(slot, FAILED)
    troubles.begin(failure, subjectOf(slot))
    if (probe < 0) retryTimer ??= setTimeout(retry, backoff(++attempt, RETRY_FIRST_MS))
  }

  async function retry(): Promise<void> {
    if (troubles.current() === 'no_responders') await makeStream?.(connection)
    retryTimer = undefined
    if (probe >= 0 || connection.isClosed()) return
    const [oldest] = failedInOrder()
    if (oldest === undefined) return
    probe = oldest
    publish(oldest, AGAIN)
    void confirm()
  }

  function failedInOrder(): number[] {
    const slots: number[] = []
    for (let slot = 0; slot < maxInFlight; slot++) if (states[slot] === FAILED) slots.push(slot)
    return slots.sort((a, b) => tokens[a]! - tokens[b]!)
  }

  /** Asks, once at a time, whether the server has what was published, and hears what it denied. */
  async function confirm(): Promise<void> {
    if (confirming) return
    confirming = true
    while (arrived < published && !connection.isClosed()) {
      outbox.flush()
      const upTo = published
      // It rejects only when the session is over, although that has not been heard yet.
      await session.confirm().catch((error) => session.close(messageOf(error)))
      // See core-nats.ts: what was denied is known a few microtasks later.
      await afterPoll()
      arrived = upTo
      if (session.denied.size > 0) refuseDenied()
    }
    confirming = false
  }

  function refuseDenied(): void {
    for (const slot of arrivedUpTo(arrived)) {
      const subject = subjectOf(slot)
      if (takeDenial(session.denied, subject)) finish(slot, denial(subject))
    }
    pump()
  }

  /** Alerts without an answer that the server has for a while: by a PONG, not by our clock alone. */
  function tick(): void {
    marks.push(arrived)
    for (const slot of arrivedUpTo(marks.shift()!)) fail(slot, UNANSWERED)
  }

  function arrivedUpTo(publication: number): number[] {
    const slots: number[] = []
    if (free.length === maxInFlight) return slots
    for (let slot = 0; slot < maxInFlight; slot++) {
      const onItsWay = states[slot] === SENT || states[slot] === AGAIN
      if (onItsWay && publications[slot]! <= publication) slots.push(slot)
    }
    return slots
  }

  return {
    deliver(batch: Batch): Promise<readonly Refusal[]> {
      const { promise, resolve: done } = Promise.withResolvers<readonly Refusal[]>()
      const { count } = batch
      const delivery = { batch, count, next: 0, open: count, duplicates: 0, refusals: [], done }
      waiting.push(delivery)
      unsettled.push(delivery)
      pump()
      return promise
    },
  }
}
