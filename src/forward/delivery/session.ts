// One connection to one server, from dial to loss. It never reconnects: the connector opens another session.

import type { Socket } from 'node:net'
import { createInbox, type NatsConnection, PermissionViolationError } from 'nats'
import { systemClock } from '../../shared/clock.ts'
import { messageOf, printable } from '../../shared/errors.ts'
import { isEncrypted } from '../../shared/nats/checked-transport.ts'
import type { Credentials, Identity } from '../../shared/nats/credentials.ts'
import type { Server } from '../../shared/nats/servers.ts'
import { dial, PING_INTERVAL_MS, UNANSWERED_PINGS_MAX } from './dial.ts'

/** More than all subjects of three batches of the largest size can have. */
const DENIED_CHARS_MAX = 16 * 1024 * 1024
const DENIED_CHECK_INTERVAL = 256

export interface Session {
  readonly server: Server
  /** The server's version, for logs. */
  readonly version: string
  readonly encrypted: boolean
  /** Bytes. A longer message makes the server end the connection. It may change at any time. */
  readonly maxPayload: number
  /** `host:port` of the servers that this one knows in its cluster. */
  readonly discovered: readonly string[]
  /** Subjects that the server denied, and the number of messages on each. A denial precedes the PONG. */
  readonly denied: Map<string, number>
  /** Whether the server has confirmed something, or kept the session for a while. */
  readonly proven: boolean
  /** A subject for answers that no other session has. */
  readonly inbox: string
  /**
   * Sends messages as they are, `PUB subject size ↵ payload ↵`. The bytes must not change until the server
   * has confirmed them, or the session is over. `alone`: at once, not corked until the next tick.
   */
  write(messages: Uint8Array, alone?: boolean): void
  /** Resolves when the server has taken all that was published before; otherwise rejects or never settles. */
  confirm(): Promise<void>
  /** Calls `onAnswer` for each message on `inbox` and one more token; none comes where the server denies it. */
  answers(onAnswer: (token: string, data: Uint8Array) => void): void
  /** Whether it is over, perhaps before `closed` has resolved. */
  isClosed(): boolean
  /** Resolves when the session is over, with the reason, or undefined where `close` gave none. */
  readonly closed: Promise<string | undefined>
  close(why?: string): void
}

/** With the client's connection, for requests. */
export type ClientSession = Session & { readonly connection: NatsConnection }

/** Dials once. Rejects with the reason, also when aborted, and leaves no socket behind. */
export async function openSession(
  server: Server,
  credentials: Credentials,
  identity: Identity,
  signal: AbortSignal,
): Promise<ClientSession> {
  const { now, afterPoll } = systemClock
  const options = { ...credentials, ...identity }
  const { connection, wire, socket, destroy } = await dial(server, options, signal)
  const openedAt = now()
  let inbox: string | undefined
  // Made where it is used: random bytes take 1.2 MB of Node's cryptography.
  const inboxOf = () => (inbox ??= createInbox(identity.inboxPrefix))
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
    version: printable(wire.info!.version),
    encrypted: isEncrypted(socket()),
    get maxPayload() {
      return wire.info!.max_payload
    },
    get discovered() {
      return wire.info!.connect_urls!
    },
    denied,
    connection,
    get inbox() {
      return inboxOf()
    },
    write(messages, alone = false) {
      const to = socket()
      if (!alone && to?.writableCorked === 0) {
        to.cork()
        process.nextTick(uncork, to)
      }
      to?.write(messages)
    },
    get proven() {
      return confirmed || now() - openedAt > PING_INTERVAL_MS
    },
    async confirm() {
      await connection.flush()
      confirmed = true
    },
    answers(onAnswer) {
      const start = `${inboxOf()}.`
      connection.subscribe(`${start}*`, {
        callback(error, message) {
          // The server denies the subscription: no answer comes.
          if (!error) onAnswer(message.subject.slice(start.length), message.data)
        },
      })
      // The client would hold the subscription back for a moment, and `write` does not wait for it.
      connection.flush().catch(() => {})
    },
    isClosed: () => connection.isClosed(),
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

const uncork = (socket: Socket) => socket.uncork()
