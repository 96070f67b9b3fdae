// The connection of `respond`: tried until it is there, and then for ever again, a line per change.

import type { Authenticator, NatsConnection } from 'nats'
import { messageOf, printable } from '../../shared/errors.ts'
import type { Logger } from '../../shared/log.ts'
import { type CheckedOptions, connectChecked } from '../../shared/nats/checked-transport.ts'
import { expiredIn, type Identity, readCredentials } from '../../shared/nats/credentials.ts'
import type { CredentialOptions } from '../../shared/nats/options.ts'
import type { Server } from '../../shared/nats/servers.ts'
import { aborted } from '../../shared/process/shutdown.ts'
import type { RespondMetrics } from '../engine/metrics.ts'
import { createFailures, keepTrying } from './retry.ts'

type ServerOptions = CredentialOptions & { readonly server: readonly Server[] }

const PAUSE_FIRST_MS = 250
const RECONNECT_MS = 1_000

/** Undefined when it was stopped before there was one. */
export async function connectPatiently(
  options: ServerOptions,
  identity: Identity,
  metrics: RespondMetrics,
  log: Logger,
  stop: AbortSignal,
): Promise<NatsConnection | undefined> {
  const stopped = aborted(stop)
  async function dial(): Promise<NatsConnection | undefined> {
    try {
      const connecting = connectChecked({
        servers: options.server.map(({ address }) => address),
        ...identity,
        ...secretsOf(options),
        maxReconnectAttempts: -1,
        reconnectTimeWait: RECONNECT_MS,
        // A secret may be rotated before we know of it.
        ignoreAuthErrorAbort: true,
      })
      // A silent server has 20 s to answer, which is too long for a stop.
      const connection = await Promise.race([connecting, stopped])
      if (connection === undefined) connecting.then((late) => late.close()).catch(() => {})
      return connection
    } catch (error) {
      const expired = expiredIn(options)
      throw expired ? new Error(`${messageOf(error)}; ${expired}`) : error
    }
  }
  const failures = createFailures(log, 'cannot connect, will keep trying')
  const connection = await keepTrying(dial, failures, PAUSE_FIRST_MS, stop)
  if (connection === undefined) return undefined
  const version = printable(connection.info?.version ?? 'unknown')
  log.info({ server: printable(connection.getServer()), version }, 'connected')
  metrics.setConnected(true)
  void logStatus(connection, metrics, log)
  return connection
}

/** Files are read again at each connect. Half-way through a rotation, what was there before is used. */
function secretsOf(options: ServerOptions): Pick<CheckedOptions, 'authenticator' | 'tls'> {
  const [first, ...others] = options.server
  let { authenticator, tls } = readCredentials(options, first!)
  const again: Authenticator = (nonce) => {
    try {
      authenticator = readCredentials(options, first!).authenticator
    } catch {}
    return authenticator?.(nonce)
  }
  // The client reads files at each dial, but not what it was once given of them.
  const { tlsca: caFile, tlscert: certFile, tlskey: keyFile } = options
  // The name to expect is that of one server; with several, each has its own.
  const { servername, host, handshakeFirst } = tls ?? {}
  const named = others.length === 0 ? { servername, host } : {}
  const all = Object.entries({ caFile, certFile, keyFile, ...named, handshakeFirst })
  const defined = Object.fromEntries(all.filter(([, value]) => value !== undefined))
  return { ...(authenticator && { authenticator: again }), ...(tls && { tls: defined }) }
}

async function logStatus(connection: NatsConnection, metrics: RespondMetrics, log: Logger) {
  const refusals = createFailures(log, 'the NATS server refuses something')
  for await (const status of connection.status())
    switch (status.type) {
      case 'disconnect':
        metrics.setConnected(false)
        log.warn({ server: printable(status.server) }, 'disconnected')
        break
      case 'reconnect':
        metrics.setConnected(true)
        refusals.clear()
        log.info({ server: printable(status.server) }, 'connected again')
        break
      case 'error':
        refusals.add(status.error)
    }
  metrics.setConnected(false)
}
