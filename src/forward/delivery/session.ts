// One connection to one server, from dial to loss. It never reconnects: the connector replaces a lost session by
// a new one, so that there is one place that decides what happens then.

import { subscribe, unsubscribe } from 'node:diagnostics_channel'
import type { Socket } from 'node:net'
import { setImmediate as afterPoll } from 'node:timers/promises'
import { type NatsConnection, PermissionViolationError } from 'nats'
import { messageOf, printable } from '../../shared/errors.ts'
import { connectChecked, isEncrypted } from '../../shared/nats/checked-transport.ts'
import type { Credentials, Identity } from '../../shared/nats/credentials.ts'
import type { Wire } from '../../shared/nats/protocol-check.ts'
import type { Server } from '../../shared/nats/servers.ts'
import { aborted } from '../../shared/process/shutdown.ts'

/**
 * A server that stops answering is left after two pings without a pong: at the latest (2 + 1) × this
 * after it froze. Pings wait behind the alerts that are being written, so what is in flight
 * (two batches) must get through within 2 × this.
 */
const PING_INTERVAL_MS = 10_000
const UNANSWERED_PINGS_MAX = 2
/** For each address of the server's name. */
const DIAL_TIMEOUT_MS = 5_000
/** Everything sent to us answers a request: acknowledgements, and what JetStream reports of streams. */
const ANSWER_BYTES_MAX = 1024 * 1024
/** More than all subjects of three batches of the largest size can have. */
const DENIED_CHARS_MAX = 16 * 1024 * 1024
const DENIED_CHECK_INTERVAL = 256

export interface Session {
  readonly server: Server
  /** The server's version, for people. */
  readonly version: string
  readonly encrypted: boolean
  /** Bytes; over it the server ends the connection. */
  readonly maxPayload: number
  /** `host:port` of the servers that this one knows in its cluster. */
  readonly discovered: readonly string[]
  /** Subjects that the server refused, and how many messages on each: -ERR comes before the PONG. */
  readonly denied: Map<string, number>
  /** For requests and subscriptions. */
  readonly connection: NatsConnection
  readonly inboxPrefix: string | undefined
  /**
   * Sends messages that are ready as they are, `PUB subject size ↵ payload ↵`. The bytes must stay what they are
   * until the server has confirmed, or the session is over. `alone`: at once, not corked for what follows
   * in this turn of the event loop.
   */
  write(messages: Uint8Array, alone?: boolean): void
  /** The server has confirmed something, or kept the session for a while. */
  readonly proven: boolean
  /** Resolves when the server has taken all that was published before; otherwise never settles. */
  confirm(): Promise<void>
  /** Resolves when the session is over, with the reason, or undefined where `close` gave none. */
  readonly closed: Promise<string | undefined>
  close(reason?: string): void
}

/** Dials once. Rejects with the reason, and leaves no socket behind; so does aborting. */
export async function openSession(
  server: Server,
  credentials: Credentials,
  identity: Identity,
  signal: AbortSignal,
): Promise<Session> {
  signal.throwIfAborted()
  const sockets: Socket[] = []
  const destroySockets = () => {
    for (const socket of sockets) socket.destroy()
  }
  // The client cannot leave a server that no longer reads (its close waits for the blocked write)
  // nor give up a dial (its timeout leaves the socket open). Node announces every client socket
  // on this channel, so ours are known without reaching into the client.
  const track = (message: unknown) => sockets.push((message as { socket: Socket }).socket)
  subscribe('net.client.socket', track)
  let wire: Wire | undefined
  const dialled = connectChecked({
    ...credentials,
    servers: server.address,
    ...identity,
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
    const connection = await Promise.race([dialled, aborted(signal)])
    if (connection === undefined) throw signal.reason
    return trackSession(connection, wire!, server, identity, destroySockets)
  } catch (error) {
    destroySockets()
    // It may yet succeed, with a name that is resolved too late.
    dialled.then((connection) => connection.close()).catch(() => {})
    throw wire?.serverError === undefined ? error : new Error(wire.serverError)
  } finally {
    unsubscribe('net.client.socket', track)
  }
}

function trackSession(
  connection: NatsConnection,
  wire: Wire,
  server: Server,
  { inboxPrefix }: Identity,
  destroySockets: () => void,
): Session {
  const openedAt = performance.now()
  const denied = new Map<string, number>()
  let reason = ''
  let isOurs = false
  let confirmed = false

  function end(why: string): void {
    reason ||= why
    writtenTo(connection)?.destroy()
    destroySockets()
  }

  async function followStatus(): Promise<void> {
    for await (const status of connection.status())
      if (status.type === 'staleConnection')
        // The client reports this, too, when it ends the connection because of another error.
        end(wire.serverError ?? `no answer to ${UNANSWERED_PINGS_MAX} pings`)
      else if (status.type === 'error' && status.error instanceof PermissionViolationError) {
        const { operation, subject } = status.error
        if (operation === 'publish') deny(subject)
      }
  }

  function deny(subject: string): void {
    denied.set(subject, (denied.get(subject) ?? 0) + 1)
    if (denied.size % DENIED_CHECK_INTERVAL !== 0) return
    const chars = [...denied.keys()].reduce((sum, { length }) => sum + length, 0)
    if (chars >= DENIED_CHARS_MAX) end('the server denies subjects on which nothing was published')
  }
  void followStatus()

  return {
    server,
    version: printable(wire.info!.version),
    encrypted: isEncrypted(writtenTo(connection)),
    get maxPayload() {
      return wire.info!.max_payload
    },
    get discovered() {
      return wire.info!.connect_urls!
    },
    denied,
    connection,
    inboxPrefix,
    write(messages, alone = false) {
      const socket = writtenTo(connection)
      if (!alone && socket?.writableCorked === 0) {
        socket.cork()
        process.nextTick(uncork, socket)
      }
      socket?.write(messages)
    },
    get proven() {
      return confirmed || performance.now() - openedAt > PING_INTERVAL_MS
    },
    async confirm() {
      await connection.flush()
      confirmed = true
    },
    closed: connection.closed().then(async (error) => {
      // The server's last error may be a few microtasks behind the end of its connection.
      await afterPoll()
      if (reason || isOurs) return printable(reason) || undefined
      if (wire.serverError !== undefined) return printable(wire.serverError)
      return error ? messageOf(error) : 'the server closed the connection'
    }),
    close(why = '') {
      isOurs = true
      end(why)
    },
  }
}

/**
 * The socket that the client writes to. We write batches to it, since the client takes one message at a
 * time, and three buffers for each. Under TLS it is wrapped around the one we know, and must be destroyed
 * first, or its unfinished write becomes an error without a listener. It is private to the client;
 * session.test.ts fails should that change.
 */
function writtenTo(connection: NatsConnection): Socket | undefined {
  type Internals = { protocol?: { transport?: { socket?: Socket } } }
  return (connection as unknown as Internals).protocol?.transport?.socket
}

const uncork = (socket: Socket) => socket.uncork()
