// A JetStream stream: takes what matches its subjects, knows ids within its duplicate window, and answers each message.
// The checks and their order are nats-server's: expected stream, duplicate, size, what refuses all, room.

import type { World } from '../world.ts'
import { createAnswers, type Publication } from './answers.ts'
import { type ApiError, apiError } from './api-errors.ts'
import type { Connection } from './cluster.ts'
import type { Conditions } from './conditions.ts'
import type { Facts, SessionFacts, Stored } from './facts.ts'
import { headerOf, type Message } from './protocol.ts'

export interface StreamOptions {
  readonly exists: boolean
  readonly name: string
  /** With `*` and `>`. */
  readonly subjects: readonly string[]
  readonly maxMsgs?: number
  readonly maxMsgSize?: number
  /** Full, it refuses; otherwise it throws its oldest message away. */
  readonly discardNew: boolean
  readonly duplicateWindowMs: number
}

export type SimulatedStream = ReturnType<typeof createStream>

/** jetstream.ts waits for five ticks of a second, the first of which may be short. */
const PATIENCE_MS = 4_000
/** In a second, one alert: retries begin after 125 ms, and those of others let it be retried in between. */
const RETRIES_MAX = 24
const NO_RESPONDERS = Buffer.alloc(0)

export function createStream(
  world: World,
  given: StreamOptions,
  facts: Facts,
  conditions: Conditions,
) {
  const { time } = world
  const random = world.random('stream')
  const answers = createAnswers(world, random, facts, conditions)
  const ids = new Map<string, { readonly sequence: number; readonly at: number }>()
  /** Of each id, the alert: two alerts with one id would be one in the stream. */
  const owners = new Map<string, number>()
  /** Read and not stored. */
  let queue: Publication[] = []
  /** Stored when the stream has a leader again, without an answer. */
  let late: Publication[] = []
  let options = { ...given }
  let stream = 1
  let sequence = 0
  let held = 0
  let isDraining = false

  function publish(connection: Connection, message: Message, number: number | undefined): void {
    const { subject, reply, headers, size } = message
    const id = headerOf(headers, 'Nats-Msg-Id')
    if (reply === undefined || id === undefined) {
      world.violated('protocol', `a publication without reply or id on ${subject}`)
      return
    }
    if (number !== undefined) checkOwner(id, number)
    const { unanswered, answered } = connection.facts
    if (!answered.has(reply)) unanswered.add(reply)
    checkPatience(connection.facts, reply)
    const expected = headerOf(headers, 'Nats-Expected-Stream')
    const publication = { connection, reply, number, id, expected, size }
    const leaderless = conditions.get('leaderless')?.how
    if (!takes(subject) || conditions.get('off') || leaderless === 'no responders')
      answers.send(publication, NO_RESPONDERS)
    else if (leaderless === 'unavailable')
      answers.refuse(publication, apiError(10008), options.name)
    else if (leaderless === undefined) take(publication)
  }

  /** An alert is published again when it was refused, or has waited for an answer. */
  function checkPatience({ publishedAt, answered }: SessionFacts, reply: string): void {
    const times = publishedAt.get(reply) ?? []
    publishedAt.set(reply, times)
    const sinceFirst = time.now() - (times[0] ?? Number.NEGATIVE_INFINITY)
    if (!answered.has(reply) && sinceFirst < PATIENCE_MS)
      world.violated('patience', `published again after ${sinceFirst} ms`)
    times.push(time.now())
    if (time.now() - (times.at(-1 - RETRIES_MAX) ?? Number.NEGATIVE_INFINITY) < 1_000)
      world.violated('patience', `published more than ${RETRIES_MAX} times in a second`)
  }

  function checkOwner(id: string, number: number): void {
    const owner = owners.get(id) ?? number
    owners.set(id, number)
    if (owner !== number)
      world.violated('message id', `alerts ${owner} and ${number} have the id ${id}`)
  }

  /** Each copy of an alert has the same id. */
  function checkOnce(number: number | undefined): void {
    const since = time.now() - options.duplicateWindowMs
    const isSame = (other: Stored) =>
      other.number === number && other.stream === stream && other.at > since
    if (number !== undefined && facts.stored.some(isSame))
      world.violated('once in a stream', `alert ${number}`)
  }

  const takes = (subject: string) =>
    options.exists && options.subjects.some((pattern) => matches(pattern, subject))

  function take(publication: Publication): void {
    const inProcess =
      conditions.get('slow store')?.clustered === true &&
      queue.some(({ id }) => id === publication.id)
    if (inProcess) answers.refuse(publication, apiError(10158), options.name)
    else queue.push(publication)
    drainIn(0.2 + 2 * random.part())
  }

  function drainIn(ms: number): void {
    if (isDraining || queue.length === 0) return
    isDraining = true
    time.at(time.now() + ms, drain)
  }

  function drain(): void {
    isDraining = false
    if (conditions.get('slow store') || queue[0]?.connection.machine.state === 'frozen') {
      drainIn(random.between(20, 200))
      return
    }
    const taken = queue
    queue = []
    for (const publication of taken) {
      const { name } = options
      const result = store(publication)
      if (typeof result === 'object') {
        if (result.err_code === 10054 && publication.number !== undefined)
          facts.refusedNumbers.add(publication.number)
        answers.refuse(publication, result, name)
      } else answers.acknowledge(publication, name, Math.abs(result), result < 0)
    }
  }

  /** Its sequence, negative where it is a duplicate, or why it is not stored. */
  function store({ connection, id, number, expected, size }: Publication): number | ApiError {
    const now = time.now()
    const { name, duplicateWindowMs, maxMsgs = Number.POSITIVE_INFINITY, discardNew } = options
    const wrong = conditions.get('wrong stream') !== undefined
    if (expected !== undefined && (expected !== name || wrong)) return apiError(10060)
    const known = ids.get(id)
    if (known && now - known.at < duplicateWindowMs) return -known.sequence
    if (size > maxMsgSize()) return apiError(10054)
    const refusal = conditions.get('refuse publications')
    if (refusal && random.onceIn(Number(refusal.onceIn)))
      return apiError(Number(refusal.code), refusal.text as string | undefined)
    if (held >= maxMsgs && discardNew) return apiError(10077, 'maximum messages exceeded')
    checkOnce(number)
    held = Math.min(held + 1, maxMsgs)
    sequence++
    ids.set(id, { sequence, at: now })
    const session = connection.facts.number
    facts.stored.push({ number, id, at: now, sequence, stream, session })
    world.trace(() => `stream ${name} stores alert ${number}`)
    return sequence
  }

  const maxMsgSize = () =>
    conditions.number('small messages', 'bytes') || options.maxMsgSize || Number.POSITIVE_INFINITY

  /** Of what is queued the first part is stored and never acknowledged, the rest is lost. */
  function lose(): Publication[] {
    const kept = queue.slice(0, random.below(queue.length + 1))
    queue = []
    return kept
  }

  function forget(): void {
    queue = []
    late = []
    ids.clear()
    sequence = held = 0
    options.exists = false
    stream++
    world.trace(() => `stream ${options.name} is deleted`)
  }

  return {
    publish,
    name: () => options.name,
    exists: () => options.exists,
    crash: () => lose().forEach(store),
    /** An operator, or falco-nats, makes it, unless it is there. */
    make(settings: Partial<StreamOptions> = {}): void {
      if (options.exists) return
      options = { ...options, ...settings, exists: true }
      world.trace(() => `stream ${options.name} is made`)
    },
    /** An operator changes it. */
    change(settings: Partial<StreamOptions>): void {
      options = { ...options, ...settings }
    },
    held: () => held,
    /** An operator empties it. */
    purge(): void {
      held = 0
    },
    /** It is deleted if it is there, and made by an operator after `ms`. */
    remove(ms: number): void {
      if (options.exists) forget()
      time.at(time.now() + ms, () => this.make())
    },
    /** The leader steps down, or is lost; there is another after `ms`. */
    elect(ms: number, how: string): void {
      late.push(...lose())
      conditions.begin('leaderless', ms, { how })
      time.at(time.now() + ms, () => {
        for (const publication of late.splice(0)) store(publication)
      })
    },
    isWell: () =>
      options.exists &&
      (held < (options.maxMsgs ?? Number.POSITIVE_INFINITY) || !options.discardNew),
    heal(): void {
      this.make()
      const { maxMsgs: _, ...rest } = options
      options = rest
    },
  }
}

/** Whether a subject matches a pattern. */
export function matches(pattern: string, subject: string): boolean {
  const [patterns, tokens] = [pattern.split('.'), subject.split('.')]
  for (const [index, each] of patterns.entries()) {
    if (each === '>') return tokens.length > index
    if (tokens[index] === undefined || (each !== '*' && each !== tokens[index])) return false
  }
  return tokens.length === patterns.length
}
