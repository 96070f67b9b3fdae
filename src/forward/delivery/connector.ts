// Opens session after session: waits for a server that is not there yet, goes from server to server,
// backs off with jitter, and logs one line per change of state.

import { setTimeout as delay } from 'node:timers/promises'
import { backoff } from '../../shared/backoff.ts'
import { messageOf, printable } from '../../shared/errors.ts'
import type { Logger } from '../../shared/log.ts'
import { expiredIn, type Identity, readCredentials } from '../../shared/nats/credentials.ts'
import type { CredentialOptions } from '../../shared/nats/options.ts'
import { discoveredServers, type Server } from '../../shared/nats/servers.ts'
import { formatBytes } from '../../shared/options/units.ts'
import type { Counters } from '../accounting/counters.ts'
import { openSession, type Session } from './session.ts'

const BACKOFF_FIRST_MS = 100
/** For a server with all the addresses of its name, the look-up of the name included. */
const DIAL_DEADLINE_MS = 15_000
/** Of the servers that a cluster announces, so many are known, and so many dialled before ours again. */
const DISCOVERED_MAX = 64
const DISCOVERED_DIALLED = 4
/** A session that lasted so long gives no cause to dial more slowly. */
const SETTLED_MS = 10_000
/** Each reason is logged once in so long a time, and no more than these: a server may invent them. */
const REASONS_FRESH_MS = 600_000
const REASONS_MAX = 16

export interface ConnectOptions {
  readonly servers: readonly Server[]
  readonly credentials: CredentialOptions
  readonly identity: Identity
  readonly counters: Counters
  readonly log: Logger
}

/** Opens sessions, one at a time: the next is dialled when the last is over and `next` is called. */
export interface Connector {
  /** Resolves with an open session however long it takes. Rejects only when `signal` aborts. */
  next(signal: AbortSignal): Promise<Session>
}

export function createConnector(options: ConnectOptions): Connector {
  const { servers, credentials, identity, counters, log } = options
  let own = shuffled(servers)
  let discovered: Server[] = []
  let attempt = 0
  /** Since the last connection: servers take turns, and so may reasons. */
  const reasonsLogged = new Set<string>()
  let loggedSince = 0

  /** Tries each of the user's own servers once, then a few others: the next time, the next few. */
  async function dialOnce(signal: AbortSignal): Promise<Session | undefined> {
    const reasons = new Set<string | undefined>()
    const others = discovered.splice(0, DISCOVERED_DIALLED)
    discovered.push(...others)
    for (const server of [...own, ...others])
      try {
        const either = AbortSignal.any([signal, AbortSignal.timeout(DIAL_DEADLINE_MS)])
        return await openSession(server, readCredentials(credentials, server), identity, either)
      } catch (error) {
        signal.throwIfAborted()
        reasons.add(`${server.shown}: ${messageOf(error)}`)
      }
    reasons.add(expiredIn(credentials))
    logOnce(printable([...reasons].filter(Boolean).join('; ')))
    return undefined
  }

  function logOnce(reason: string): void {
    if (performance.now() - loggedSince > REASONS_FRESH_MS) {
      reasonsLogged.clear()
      loggedSince = performance.now()
    }
    if (reasonsLogged.has(reason) || reasonsLogged.size === REASONS_MAX) return
    reasonsLogged.add(reason)
    log.warn({ reason }, 'cannot connect, will keep trying')
  }

  async function follow(session: Session): Promise<void> {
    counters.sessions++
    reasonsLogged.clear()
    const { server, version, encrypted: tls } = session
    const maxPayload = formatBytes(session.maxPayload)
    log.info({ server: server.shown, version, tls, maxPayload }, 'connected')
    const openedAt = performance.now()
    const reason = await session.closed
    if (reason === undefined) return
    // A server that takes us in only to throw us out again is not to be hammered at: one that has
    // confirmed something is given more tries, but the pauses grow as well.
    if (performance.now() - openedAt > SETTLED_MS) attempt = 1
    else if (session.proven) attempt = Math.max(1, attempt - 0.75)
    // What failed goes to the end, so that the next dial starts with another server.
    own = [...servers].sort((a, b) => Number(a === server) - Number(b === server))
    const announced = discoveredServers(servers, server, session.discovered)
    discovered = shuffled(announced).slice(0, DISCOVERED_MAX)
    log.warn({ server: server.shown, reason }, 'disconnected')
  }

  return {
    async next(signal) {
      for (;;) {
        if (attempt > 0) await delay(backoff(attempt, BACKOFF_FIRST_MS), undefined, { signal })
        attempt++
        const session = await dialOnce(signal)
        if (session === undefined) continue
        void follow(session)
        return session
      }
    },
  }
}

const shuffled = <T>(items: readonly T[]): T[] =>
  items
    .map((item) => [Math.random(), item] as const)
    .sort(([a], [b]) => a - b)
    .map(([, item]) => item)
