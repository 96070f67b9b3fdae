// The connection of `respond`: tried until it is there, and then for ever again, a line per change.

import { setTimeout as delay } from 'node:timers/promises'
import type { Authenticator, NatsConnection } from 'nats'
import { backoff } from '../../shared/backoff.ts'
import { messageOf, printable } from '../../shared/errors.ts'
import type { Logger } from '../../shared/log.ts'
import { type CheckedOptions, connectChecked } from '../../shared/nats/checked-transport.ts'
import { expiredIn, type Identity, readCredentials } from '../../shared/nats/credentials.ts'
import type { CredentialOptions } from '../../shared/nats/options.ts'
import type { Server } from '../../shared/nats/servers.ts'
import { aborted } from '../../shared/process/shutdown.ts'
import type { RespondMetrics } from '../engine/metrics.ts'

export interface RespondConnectOptions {
  readonly servers: readonly Server[]
  readonly credentials: CredentialOptions
  readonly identity: Identity
  readonly metrics: RespondMetrics
  readonly log: Logger
}

const RETRY_FIRST_MS = 250
const RECONNECT_MS = 1_000
/** No more different reasons are logged before the next connection: a server may invent them. */
const REASONS_MAX = 16

/** Undefined when it was stopped before there was one. */
export async function connectPatiently(
  { servers, credentials, identity, metrics, log }: RespondConnectOptions,
  stop: AbortSignal,
): Promise<NatsConnection | undefined> {
  const said = new Set<string>()
  const stopped = aborted(stop)
  for (let attempt = 1; !stop.aborted; attempt++)
    try {
      const connecting = connectChecked({
        servers: servers.map(({ address }) => address),
        ...identity,
        ...secretsOf(credentials, servers),
        maxReconnectAttempts: -1,
        reconnectTimeWait: RECONNECT_MS,
        // A secret may be rotated before we are told.
        ignoreAuthErrorAbort: true,
      })
      // A server that takes the connection and says nothing has 20 s to do so: too long for a stop.
      const connection = await Promise.race([connecting, stopped])
      if (connection === undefined) {
        connecting.then((late) => late.close()).catch(() => {})
        return undefined
      }
      const version = printable(connection.info?.version ?? 'unknown')
      log.info({ server: printable(connection.getServer()), version }, 'connected')
      metrics.connected(true)
      void watch(connection, metrics, log)
      return connection
    } catch (error) {
      const reason = [messageOf(error), expiredIn(credentials)].filter(Boolean).join('; ')
      if (isNew(said, reason)) log.warn({ reason }, 'cannot connect, will keep trying')
      const pause = backoff(attempt, RETRY_FIRST_MS)
      await delay(pause, undefined, { signal: stop }).catch(() => {})
    }
  return undefined
}

/** Files are read again at each connect. Half-way through a rotation, what was there before is used. */
function secretsOf(
  credentials: CredentialOptions,
  servers: readonly Server[],
): Pick<CheckedOptions, 'authenticator' | 'tls'> {
  const [first] = servers
  const { authenticator, tls } = readCredentials(credentials, first!)
  let last: Authenticator | undefined = authenticator
  const again: Authenticator = (nonce) => {
    try {
      last = readCredentials(credentials, first!).authenticator
    } catch {}
    return last?.(nonce)
  }
  // The name to expect is that of one server; with several, each has its own.
  const { servername, host, handshakeFirst } = tls ?? {}
  const named = servers.length === 1 ? { servername, host } : {}
  // The client reads files at each dial, but not what it was once given of them.
  const { tlsca: caFile, tlscert: certFile, tlskey: keyFile } = credentials
  const files = defined({ caFile, certFile, keyFile })
  return {
    ...(authenticator && { authenticator: again }),
    ...(tls && { tls: { ...files, ...defined(named), ...(handshakeFirst && { handshakeFirst }) } }),
  }
}

const defined = (values: Record<string, string | undefined>) =>
  Object.fromEntries(Object.entries(values).filter(([, value]) => value !== undefined))

function isNew(said: Set<string>, reason: string): boolean {
  if (said.has(reason) || said.size === REASONS_MAX) return false
  said.add(reason)
  return true
}

async function watch(
  connection: NatsConnection,
  metrics: RespondMetrics,
  log: Logger,
): Promise<void> {
  const said = new Set<string>()
  for await (const status of connection.status())
    switch (status.type) {
      case 'disconnect':
        metrics.connected(false)
        log.warn({ server: printable(status.server) }, 'disconnected')
        break
      case 'reconnect':
        metrics.connected(true)
        said.clear()
        log.info({ server: printable(status.server) }, 'connected again')
        break
      case 'error': {
        const reason = messageOf(status.error)
        if (isNew(said, reason)) log.warn({ reason }, 'the NATS server refuses something')
        break
      }
    }
  metrics.connected(false)
}
