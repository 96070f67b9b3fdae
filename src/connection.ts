// Keeps a session open for ever: waits for a server that is not there yet, goes from server to
// server, backs off with jitter, and says one line per change of state.

import { setTimeout as delay } from 'node:timers/promises'
import { backoff } from './backoff.ts'
import { type CredentialOptions, type Identity, readCredentials } from './credentials.ts'
import { messageOf } from './errors.ts'
import type { Logger } from './log.ts'
import { discoveredServers, type Server } from './servers.ts'
import { openSession, type Session } from './session.ts'
import type { Stats } from './stats.ts'
import { formatBytes } from './units.ts'

const BACKOFF_FIRST_MS = 100
/** For a server with all the addresses of its name, the look-up of the name included. */
const DIAL_DEADLINE_MS = 15_000

export interface ConnectOptions {
  readonly servers: readonly Server[]
  readonly credentials: CredentialOptions
  readonly identity: Identity
  readonly stats: Stats
  readonly log: Logger
}

/** Gives sessions, one at a time: the next is dialled when the last is over and `next` is called. */
export interface Connector {
  /** Resolves with an open session however long it takes. Rejects only when `signal` aborts. */
  next(signal: AbortSignal): Promise<Session>
}

export function createConnector(options: ConnectOptions): Connector {
  const { servers, credentials, identity, stats, log } = options
  let pool = shuffled(servers)
  let attempt = 0
  /** What has been said since the last connection: servers take turns, and so may reasons. */
  const saidTroubles = new Set<string>()

  /** Tries each server once, the user's own first. */
  async function dialOnce(signal: AbortSignal): Promise<Session> {
    const troubles = new Set<string>()
    for (const server of pool) {
      try {
        const either = AbortSignal.any([signal, AbortSignal.timeout(DIAL_DEADLINE_MS)])
        return await openSession(server, readCredentials(credentials, server), identity, either)
      } catch (error) {
        signal.throwIfAborted()
        troubles.add(`${server.shown}: ${messageOf(error)}`)
      }
    }
    throw new Error([...troubles].join('; '))
  }

  function noteOpened(session: Session): void {
    stats.sessions++
    saidTroubles.clear()
    const { server, version, encrypted, maxPayload } = session
    log.info(
      { server: server.shown, version, tls: encrypted, maxPayload: formatBytes(maxPayload) },
      'connected',
    )
    void session.closed.then((reason) => {
      if (reason === undefined) return
      // A server that takes us in only to throw us out again is not to be hammered at.
      if (session.proven) attempt = 1
      // What failed goes to the end, so that the next dial starts with another server.
      const own = [...servers].sort((a, b) => Number(a === server) - Number(b === server))
      pool = [...own, ...discoveredServers(servers, server, session.discovered)]
      log.warn({ server: server.shown, reason }, 'disconnected')
    })
  }

  return {
    async next(signal) {
      for (;;) {
        if (attempt > 0) await delay(backoff(attempt, BACKOFF_FIRST_MS), undefined, { signal })
        attempt++
        try {
          const session = await dialOnce(signal)
          noteOpened(session)
          return session
        } catch (error) {
          signal.throwIfAborted()
          const trouble = messageOf(error)
          if (saidTroubles.has(trouble)) continue
          saidTroubles.add(trouble)
          log.warn({ reason: trouble }, 'cannot connect, will keep trying')
        }
      }
    },
  }
}

function shuffled<T>(items: readonly T[]): T[] {
  return items
    .map((item) => ({ item, at: Math.random() }))
    .sort((a, b) => a.at - b.at)
    .map(({ item }) => item)
}
