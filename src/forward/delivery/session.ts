// One connection to one server, from dial to loss. It never reconnects: the connector opens another session.

import type { Socket } from 'node:net'
import { setImmediate as afterPoll } from 'node:timers/promises'
import { PermissionViolationError } from 'nats'
import { messageOf, printable } from '../../shared/errors.ts'
import { isEncrypted } from '../../shared/nats/checked-transport.ts'
import type { Credentials, Identity } from '../../shared/nats/credentials.ts'
import type { Server } from '../../shared/nats/servers.ts'
import { dial, PING_INTERVAL_MS, UNANSWERED_PINGS_MAX } from './dial.ts'

/** More than all subjects of three batches of the largest size can have. */
const DENIED_CHARS_MAX = 16 * 1024 * 1024
const DENIED_CHECK_INTERVAL = 256

export type Session = Awaited<ReturnType<typeof openSession>>

/** Dials once. Rejects with the reason, also when aborted, and leaves no socket behind. */
export async function openSession(
  server: Server,
  credentials: Credentials,
  identity: Identity,
  signal: AbortSignal,
) {
  const options = { ...credentials, ...identity }
  const { connection, wire, socket, destroy } = await dial(server, options, signal)
  const openedAt = performance.now()
  const denied = new Map<string, number>()
  let reason = ''
  let isOurs = false
  let confirmed = false

  function end(why: string): void {
    reason ||= why
    destroy()
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
    /** The server's version, for logs. */
    version: printable(wire.info!.version),
    encrypted: isEncrypted(socket()),
    /** Bytes. A longer message makes the server end the connection. */
    get maxPayload() {
      return wire.info!.max_payload
    },
    /** `host:port` of the servers that this one knows in its cluster. */
    get discovered(): readonly string[] {
      return wire.info!.connect_urls!
    },
    /** Subjects that the server denied, and the number of messages on each. A denial precedes the PONG. */
    denied,
    /** For requests and subscriptions. */
    connection,
    inboxPrefix: identity.inboxPrefix,
    /**
     * Sends messages as they are, `PUB subject size ↵ payload ↵`. The bytes must not change until the server
     * has confirmed them, or the session is over. `alone`: at once, not corked until the next tick.
     */
    write(messages: Uint8Array, alone = false): void {
      const to = socket()
      if (!alone && to?.writableCorked === 0) {
        to.cork()
        process.nextTick(uncork, to)
      }
      to?.write(messages)
    },
    /** Whether the server has confirmed something, or kept the session for a while. */
    get proven() {
      return confirmed || performance.now() - openedAt > PING_INTERVAL_MS
    },
    /** Resolves when the server has taken all that was published before; otherwise never settles. */
    async confirm(): Promise<void> {
      await connection.flush()
      confirmed = true
    },
    /** Resolves when the session is over, with the reason, or undefined where `close` gave none. */
    closed: connection.closed().then(async (error) => {
      // The server's last error may be a few microtasks behind the end of its connection.
      await afterPoll()
      if (reason || isOurs) return printable(reason) || undefined
      if (wire.serverError !== undefined) return printable(wire.serverError)
      return error ? messageOf(error) : 'the server closed the connection'
    }),
    close(why = ''): void {
      isOurs = true
      end(why)
    },
  }
}

const uncork = (socket: Socket) => socket.uncork()
