// One dial: a connection of the NATS client, and the sockets under it, which the client keeps to itself.

import { subscribe, unsubscribe } from 'node:diagnostics_channel'
import type { Socket } from 'node:net'
import type { NatsConnection } from 'nats'
import { connectChecked } from '../../shared/nats/checked-transport.ts'
import type { Credentials, Identity } from '../../shared/nats/credentials.ts'
import type { Wire } from '../../shared/nats/protocol-check.ts'
import type { Server } from '../../shared/nats/servers.ts'
import { aborted } from '../../shared/process/shutdown.ts'

/**
 * A server that freezes is left within (2 + 1) × this. Pings wait behind the alerts that are being written,
 * so the two batches in flight must get through within 2 × this.
 */
export const PING_INTERVAL_MS = 10_000
export const UNANSWERED_PINGS_MAX = 2
/** For each address of the server's name. */
const DIAL_TIMEOUT_MS = 5_000
/** The server sends us only answers: acknowledgements, and what JetStream reports of streams. */
const ANSWER_BYTES_MAX = 1024 * 1024

/** Rejects with the reason, also when aborted, and leaves no socket behind. */
export async function dial(server: Server, options: Credentials & Identity, signal: AbortSignal) {
  signal.throwIfAborted()
  const sockets: Socket[] = []
  // The client cannot leave a server that no longer reads (its close waits for the blocked write), nor
  // give up a dial (its timeout leaves the socket open). Node announces each client socket here.
  const track = (message: unknown) => sockets.push((message as { socket: Socket }).socket)
  let connection: NatsConnection | undefined
  /** Where the client writes. We write batches there, since it takes one message at a time. */
  const socket = () => connection && socketOf(connection)
  function destroy(): void {
    // The socket that TLS wraps around another goes first, or its unfinished write becomes an uncaught error.
    socket()?.destroy()
    for (const each of sockets) each.destroy()
  }
  subscribe('net.client.socket', track)
  let wire: Wire | undefined
  const dialled = connectChecked({
    ...options,
    servers: server.address,
    reconnect: false,
    noAsyncTraces: true,
    timeout: DIAL_TIMEOUT_MS,
    pingInterval: PING_INTERVAL_MS,
    maxPingOut: UNANSWERED_PINGS_MAX,
    // We look for other servers ourselves, and the client trips over an address that is none.
    ignoreClusterUpdates: true,
    payloadBytesMax: ANSWER_BYTES_MAX,
    onWire: (next) => {
      wire = next
    },
  })
  try {
    connection = await Promise.race([dialled, aborted(signal)])
    if (connection === undefined) throw signal.reason
    return { connection, wire: wire!, socket, destroy }
  } catch (error) {
    destroy()
    // It may yet succeed, with a name that is resolved too late.
    dialled.then((connection) => connection.close()).catch(() => {})
    throw wire?.serverError === undefined ? error : new Error(wire.serverError)
  } finally {
    unsubscribe('net.client.socket', track)
  }
}

/** It is private to the client; session.test.ts fails should that change. */
function socketOf(connection: NatsConnection): Socket | undefined {
  type Internals = { protocol?: { transport?: { socket?: Socket } } }
  return (connection as unknown as Internals).protocol?.transport?.socket
}
