// The client's end of a connection, as session.ts makes it of a real one.

import { PING_INTERVAL_MS, UNANSWERED_PINGS_MAX } from '../../../src/forward/delivery/dial.ts'
import type { Session } from '../../../src/forward/delivery/session.ts'
import type { Timer } from '../../../src/shared/clock.ts'
import type { Server } from '../../../src/shared/nats/servers.ts'
import type { Random } from '../random.ts'
import type { Life, World } from '../world.ts'
import type { Link } from './link.ts'

const PING = Buffer.from('PING\r\n')
/** A new one each time: one for all would keep whatever waits for it. */
const never = () => new Promise<never>(() => {})
/** A denial is known at most so many microtasks after the PONG that follows it. */
const DENIAL_MICROTASKS_MAX = 6

export type ClientEnd = ReturnType<typeof createClientEnd>

export function createClientEnd(options: {
  world: World
  life: Life
  random: Random
  link: Link
  server: Server
  number: number
  maxPayload: number
  discovered: readonly string[]
  onEnd: () => void
}) {
  const { world, life, random, link, server, number, discovered } = options
  const { time } = world
  const openedAt = time.now()
  const inbox = `_INBOX.${number}`
  const denied = new Map<string, number>()
  /** For each PING that is not answered: what its PONG does. */
  const pings: (() => void)[] = []
  const closed = Promise.withResolvers<string | undefined>()
  let { maxPayload } = options
  let onAnswer: ((token: string, data: Uint8Array) => void) | undefined
  let isConfirmed = false
  /** Over for us: nothing is written, and nothing is heard. */
  let isEnded = false
  let isClosed = false
  /** Ours, and the server's. */
  let reason = ''
  let lost = ''
  let isOurs = false
  let unanswered = 0
  let heartbeat: Timer

  const isHeard = () => !isEnded && life.isAlive()

  /** A step of the life, which may be its last: whether it takes it. */
  function mayGoOn(): boolean {
    if (life.isAlive()) life.step()
    return life.isAlive()
  }

  function beat(): void {
    if (unanswered === UNANSWERED_PINGS_MAX) {
      reason = `no answer to ${UNANSWERED_PINGS_MAX} pings`
      link.closeByClient()
      end()
      return
    }
    unanswered++
    ping(() => {
      unanswered = 0
    })
    heartbeat = life.clock.after(PING_INTERVAL_MS, beat)
  }
  heartbeat = life.clock.after(PING_INTERVAL_MS, beat)

  function ping(onPong: () => void): void {
    pings.push(onPong)
    link.command(PING)
  }

  function end(): void {
    if (isEnded) return
    isEnded = true
    options.onEnd()
    heartbeat[Symbol.dispose]()
    world.trace(() => `session ${number} is over: ${reason || lost || 'closed by us'}`)
    if (lost) isClosed = true
    soon(() => {
      isClosed = true
      soon(() => closed.resolve(reason || (isOurs ? undefined : lost)))
    })
  }

  const soon = (step: () => void) => time.at(time.now(), () => life.isAlive() && step())

  const session: Session = {
    server,
    version: '2.14.0',
    encrypted: false,
    get maxPayload() {
      return maxPayload
    },
    discovered,
    denied,
    get proven() {
      return isConfirmed || time.now() - openedAt > PING_INTERVAL_MS
    },
    inbox,
    write(messages) {
      if (!mayGoOn() || isEnded) return
      link.write(messages)
      life.step()
    },
    confirm() {
      if (!mayGoOn()) return never()
      // The client forgets a PING that is on its way.
      if (isClosed) return Promise.reject(new Error('closed connection'))
      if (isEnded) return never()
      const { promise, resolve } = Promise.withResolvers<void>()
      const written = link.written()
      ping(() => {
        link.confirm(written)
        isConfirmed = true
        resolve()
      })
      life.step()
      return promise
    },
    answers(callback) {
      if (!mayGoOn() || isEnded) return
      onAnswer = callback
      link.command(Buffer.from(`SUB ${inbox}.* 1\r\n`))
      ping(() => {})
    },
    isClosed: () => isClosed,
    closed: closed.promise,
    close(why = '') {
      if (!mayGoOn()) return
      isOurs = true
      reason ||= why
      if (!isEnded) link.closeByClient()
      end()
    },
  }

  return {
    session,
    isHeard,
    /** The server's words, as they come in. */
    pong: () => pings.shift()!(),
    denial(subject: string): void {
      let left = random.below(DENIAL_MICROTASKS_MAX)
      const deny = (): void => {
        if (left-- > 0) queueMicrotask(deny)
        else if (life.isAlive()) denied.set(subject, (denied.get(subject) ?? 0) + 1)
      }
      deny()
    },
    answer: (token: string, data: Uint8Array) => onAnswer?.(token, data),
    info(max: number): void {
      maxPayload = max
    },
    /** The connection is over. */
    lose(why: string): void {
      lost ||= why
      end()
    },
  }
}
