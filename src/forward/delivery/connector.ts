// Opens session after session: goes from server to server, backs off with jitter, and logs each change of state.

import { backoff } from '../../shared/backoff.ts'
import type { Clock } from '../../shared/clock.ts'
import { messageOf, printable } from '../../shared/errors.ts'
import type { Logger } from '../../shared/log.ts'
import { discoveredServers, type Server } from '../../shared/nats/servers.ts'
import { formatBytes } from '../../shared/options/units.ts'
import type { Counters } from '../accounting/counters.ts'
import type { Session } from './session.ts'

const BACKOFF_FIRST_MS = 100
/** For all addresses of a server's name, including the lookup. */
const DIAL_DEADLINE_MS = 15_000
/** Of the servers that a cluster announces: how many are kept, and dialled between two rounds of our own. */
const DISCOVERED_MAX = 64
const DISCOVERED_DIALLED = 4
/** After a session that lasted this long, backing off starts anew. */
const SETTLED_MS = 10_000
/** Each reason is logged once in this time, and at most so many of them: a server may invent reasons. */
const REASONS_FRESH_MS = 600_000
const REASONS_MAX = 16

/** Rejects with the reason, also when aborted. */
export type Dial = (server: Server, signal: AbortSignal) => Promise<Session>

export type Connector = ReturnType<typeof createConnector>

export function createConnector(options: {
  servers: readonly Server[]
  dial: Dial
  /** What may be the reason beside those of the servers. */
  whyRefused?: () => string | undefined
  counters: Counters
  log: Logger
  clock: Clock
  random: () => number
}) {
  const { servers, dial, counters, log, clock, random } = options
  let own = shuffled(servers)
  let discovered: Server[] = []
  let attempt = 0
  /** Since the last connection, as reasons may take turns, like servers. */
  const reasonsLogged = new Set<string>()
  let loggedSince = 0

  /** Tries each of the user's own servers once, then the next few others. */
  async function dialOnce(signal: AbortSignal): Promise<Session | undefined> {
    const reasons = new Set<string | undefined>()
    const others = discovered.splice(0, DISCOVERED_DIALLED)
    discovered.push(...others)
    for (const server of [...own, ...others])
      try {
        return await dial(server, AbortSignal.any([signal, clock.timeout(DIAL_DEADLINE_MS)]))
      } catch (error) {
        signal.throwIfAborted()
        reasons.add(`${server.shown}: ${messageOf(error)}`)
      }
    reasons.add(options.whyRefused?.())
    logOnce(printable([...reasons].filter(Boolean).join('; ')))
    return undefined
  }

  function logOnce(reason: string): void {
    if (clock.now() - loggedSince > REASONS_FRESH_MS) {
      reasonsLogged.clear()
      loggedSince = clock.now()
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
    const openedAt = clock.now()
    const reason = await session.closed
    if (reason === undefined) return
    // For a server that accepts and drops us at once the pauses grow, more slowly if it confirmed something.
    if (clock.now() - openedAt > SETTLED_MS) attempt = 1
    else if (session.proven) attempt = Math.max(1, attempt - 0.75)
    // The next dial starts with another server.
    own = [...servers].sort((a, b) => Number(a === server) - Number(b === server))
    const announced = discoveredServers(servers, server, session.discovered)
    discovered = shuffled(announced).slice(0, DISCOVERED_MAX)
    log.warn({ server: server.shown, reason }, 'disconnected')
  }

  return {
    /** Dials until a session is open, once the last is over. Rejects only when `signal` aborts. */
    async next(signal: AbortSignal): Promise<Session> {
      for (;;) {
        if (attempt > 0) await clock.delay(backoff(attempt, BACKOFF_FIRST_MS, { random }), signal)
        attempt++
        const session = await dialOnce(signal)
        if (!session) continue
        void follow(session)
        return session
      }
    },
  }

  function shuffled<T>(items: readonly T[]): T[] {
    return items
      .map((item) => [random(), item] as const)
      .sort(([a], [b]) => a - b)
      .map(([, item]) => item)
  }
}
