// JetStream: an alert is delivered when a stream has acknowledged that it is stored.
//
// An alert keeps its slot (slots.ts) from its first publication until it is settled, so no more than `maxInFlight`
// are ever in flight, retries included. An alert fails when it is refused, or has no answer in 5 s. While any has
// failed, nothing new is published: the oldest failed one is the probe, retried alone with backoff, and once it is
// stored, the others follow in order. So the order in the stream differs from the order of reading by at most the
// alerts that were in flight behind one that failed.

import { backoff } from '../../../shared/backoff.ts'
import type { Clock, Timer } from '../../../shared/clock.ts'
import type { Logger } from '../../../shared/log.ts'
import type { Counters } from '../../accounting/counters.ts'
import type { Batch } from '../../encoding/batch.ts'
import { subjectAt } from '../../encoding/messages.ts'
import type { Session } from '../session.ts'
import { denial, type Refusal, type Transport, takeDenial, tooLarge } from '../transport.ts'
import {
  type Answer,
  createTroubleLog,
  type Failure,
  readAnswer,
  type TroubleLog,
  UNANSWERED,
} from './acks.ts'
import { createMessageWriter, sizeWithId } from './message-writer.ts'
import { createSlots, type Slot as SlotOf } from './slots.ts'
import { createStreamMaker, type MakeStream } from './stream.ts'
import type { StreamSettings } from './stream-settings.ts'

const RETRY_FIRST_MS = 250
/** How long an answer may take, in ticks from when the server is known to have the alert. */
const ANSWER_TICKS = 5
const TICK_MS = 1000

export interface JetStreamOptions {
  readonly settings: StreamSettings
  /** Makes the stream when it is missing. Undefined: others make it. */
  readonly makeStream: MakeStream | undefined
  readonly maxInFlight: number
  readonly counters: Counters
  readonly log: Logger
  readonly clock: Clock
  readonly random: () => number
}

/** Publishes with acknowledgement, and retries as long as the session lives. */
export function createJetStreamTransport(options: JetStreamOptions): Transport {
  const { settings, log, makeStream } = options
  const troubles = createTroubleLog(log, settings)
  const ensureStream = makeStream && createStreamMaker(makeStream, settings, log)
  const windows = new WeakMap<Session, ReturnType<typeof openPublishWindow>>()
  const windowOf = (session: Session) => {
    const window =
      windows.get(session) ?? openPublishWindow(session, options, troubles, ensureStream)
    windows.set(session, window)
    return window
  }
  return { opened: windowOf, publish: (session, batch) => windowOf(session)(batch) }
}

/** A batch that is not settled. */
interface Delivery {
  readonly batch: Batch
  /** Alerts in the batch, which forgets it once it is given back. */
  readonly count: number
  /** Alerts that have had a slot. */
  published: number
  /** Alerts neither stored nor refused. */
  open: number
  duplicates: number
  readonly refusals: Refusal[]
  readonly done: (refusals: Refusal[]) => void
}

type Slot = SlotOf<Delivery>
const isUnpublished = ({ published, count }: Delivery) => published < count
const subjectOf = ({ delivery, alert }: Slot) =>
  subjectAt(delivery!.batch, alert).toString('latin1')

/** All that is in flight over one session. The result publishes a batch and resolves when its alerts are stored or refused. */
function openPublishWindow(
  session: Session,
  { maxInFlight, counters, clock, random }: JetStreamOptions,
  troubles: TroubleLog,
  ensureStream: ReturnType<typeof createStreamMaker> | undefined,
) {
  const { inbox } = session
  const writer = createMessageWriter(session, clock)
  const slots = createSlots<Delivery>(maxInFlight)
  /** In the order of the calls. */
  const deliveries: Delivery[] = []
  let ready = ensureStream === undefined
  const arrivedAtTicks: number[] = Array(ANSWER_TICKS).fill(0)
  let attempt = 0
  let probe: Slot | undefined
  let retryTimer: Timer | undefined

  session.answers((token, answer) => {
    const slot = slots.byToken(Number(token))
    if (slot) settle(slot, readAnswer(answer))
  })
  const ticker = clock.every(TICK_MS, failOverdue)
  void session.closed.then(() => {
    ticker[Symbol.dispose]()
    retryTimer?.[Symbol.dispose]()
  })
  void ensureStream?.(session).then(() => {
    ready = true
    refill()
  })

  const unpublished = () => deliveries.find(isUnpublished)

  /** Publishes new alerts while slots are free and none has failed. */
  function refill(): void {
    if (ready && slots.failing() === 0 && !session.isClosed())
      for (let delivery = unpublished(); delivery; delivery = unpublished()) {
        const slot = slots.take(delivery, delivery.published)
        if (!slot) break
        delivery.published++
        publish(slot)
      }
    writer.confirm(refuseDenied)
  }

  function publish(slot: Slot): void {
    const { batch } = slot.delivery!
    const bytes = sizeWithId(batch, slot.alert)
    if (bytes > session.maxPayload)
      finish(slot, tooLarge(subjectOf(slot), bytes, session.maxPayload))
    else slot.publication = writer.add(batch, slot.alert, `${inbox}.${slot.token}`)
  }

  function publishAgain(slot: Slot): void {
    counters.resent++
    slots.retry(slot)
    publish(slot)
  }

  function settle(slot: Slot, answer: Answer): void {
    if (answer === 'duplicate') slot.delivery!.duplicates++
    if (answer === 'stored' || answer === 'duplicate') finish(slot)
    else if (answer.trouble === 'too_large') {
      const { stream, reason } = answer
      finish(slot, { reason: 'refused_by_stream', detail: { stream, said: reason } })
    } else if (slot.state !== 'failed') fail(slot, answer)
    refill()
  }

  /** The alert is stored, or it never will be. */
  function finish(slot: Slot, refusal?: Refusal): void {
    const delivery = slot.delivery!
    if (refusal) delivery.refusals.push(refusal)
    slots.release(slot)
    if (slot === probe) {
      probe = undefined
      attempt = 0
      for (const other of slots.failed()) publishAgain(other)
    }
    if (slots.failing() === 0) {
      retryTimer?.[Symbol.dispose]()
      retryTimer = undefined
      if (!refusal) troubles.end()
    }
    delivery.open--
    while (deliveries[0]?.open === 0) {
      const { duplicates, refusals, done } = deliveries.shift()!
      counters.duplicates += duplicates
      done(refusals)
    }
  }

  function fail(slot: Slot, failure: Failure): void {
    if (slot === probe) probe = undefined
    slots.fail(slot)
    troubles.begin(failure, subjectOf(slot))
    if (!probe) retryTimer ??= clock.after(backoff(++attempt, RETRY_FIRST_MS, { random }), retry)
  }

  async function retry(): Promise<void> {
    if (troubles.current() === 'no_responders') await ensureStream?.(session)
    retryTimer = undefined
    if (probe || session.isClosed()) return
    const [oldest] = slots.failed()
    if (!oldest) return
    probe = oldest
    publishAgain(oldest)
    // It may have become too large, and then nothing else calls for the next.
    refill()
  }

  function refuseDenied(): void {
    if (session.denied.size === 0) return
    for (const slot of slots.waitingFor(writer.arrived())) {
      const subject = subjectOf(slot)
      if (takeDenial(session.denied, subject)) finish(slot, denial(subject))
    }
    refill()
  }

  /** Fails unanswered alerts that the server has had for ANSWER_TICKS, by its PONG: our clock alone proves nothing. */
  function failOverdue(): void {
    arrivedAtTicks.push(writer.arrived())
    for (const slot of slots.waitingFor(arrivedAtTicks.shift()!)) fail(slot, UNANSWERED)
  }

  return (batch: Batch) => {
    const { promise, resolve: done } = Promise.withResolvers<readonly Refusal[]>()
    const { count } = batch
    deliveries.push({ batch, count, published: 0, open: count, duplicates: 0, refusals: [], done })
    refill()
    return promise
  }
}
