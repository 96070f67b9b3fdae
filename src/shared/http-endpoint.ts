// Serves /metrics, /livez and /readyz over HTTP. Any pod may reach the port, so each peer costs bounded memory and
// time: one request a connection, one rendering at a time. With node:http, which parses all that a peer has sent at
// once, 800 connections with 20 requests each cost 45 MB more.

import { once } from 'node:events'
import { type AddressInfo, createServer, type Socket } from 'node:net'
import { messageOf, UsageError } from './errors.ts'
import type { Address } from './options/parsers.ts'

/** The pages. A health check gives the trouble, or undefined when all is well. */
export interface Routes {
  metrics(): Promise<string | Buffer>
  live(): string | undefined
  ready(withNats: boolean): string | undefined
}

export type Endpoint = Awaited<ReturnType<typeof openEndpoint>>

type Answer = readonly [status: string, body: string | Buffer, type?: string]

const WHY_NOT: Record<string, string> = {
  EADDRINUSE: 'another process has this port; allowed: another address, or off',
  EACCES: 'this port needs privileges; allowed: a port from 1024 up, or off',
}
const TEXT_TYPE = 'text/plain; charset=utf-8'
/** Classic text, whatever is asked for: in OpenMetrics `falco_events` would have to be renamed. */
const METRICS_TYPE = 'text/plain; version=0.0.4; charset=utf-8'
const REQUEST = /^([A-Z]+) (\S+) HTTP\/1\.[01]\r\n/
const HEAD_BYTES_MAX = 8 * 1024
/** A connection ends after this time, even in the middle of a request or an answer. */
const CONNECTION_MS = 10_000
/** One more closes the oldest. The kernel queues at most 511 (Node's backlog): a flood closes none whose request is unread. */
const CONNECTIONS_MAX = 512
/** The same for connections that have not read their metrics: the kernel buffers megabytes for each. */
const UNREAD_METRICS_MAX = 8
/** How long requests for metrics share one text. */
const SHARED_MS = 1_000

/** Listens; without a host on all addresses, IPv6 and IPv4. Throws a UsageError where it cannot. */
export async function openEndpoint({ text, host, port }: Address) {
  let routes: Routes = STARTING
  const connections = new Set<Socket>()
  const unreadMetrics = new Set<Socket>()

  async function respond(socket: Socket, head: string): Promise<void> {
    const [, method, target] = REQUEST.exec(head) ?? []
    const [status, body, type = TEXT_TYPE] = await answer(routes, method, target).catch(
      (error): Answer => ['500 Internal Server Error', `${messageOf(error)}\n`],
    )
    if (type === METRICS_TYPE) admit(socket, unreadMetrics, UNREAD_METRICS_MAX)
    socket.cork()
    socket.write(
      `HTTP/1.1 ${status}\r\nContent-Type: ${type}\r\n` +
        `Content-Length: ${Buffer.byteLength(body)}\r\nConnection: close\r\n\r\n`,
    )
    if (method !== 'HEAD') socket.write(body)
    socket.end()
    socket.uncork()
  }

  const server = createServer({ allowHalfOpen: true }, (socket) => {
    admit(socket, connections, CONNECTIONS_MAX)
    const ending = setTimeout(() => socket.destroy(), CONNECTION_MS).unref()
    socket.once('close', () => clearTimeout(ending)).on('error', () => {})
    let head = ''
    socket.on('data', function read(chunk: Buffer) {
      head += chunk.toString('latin1')
      if (!head.includes('\r\n\r\n') && head.length <= HEAD_BYTES_MAX) return
      // Whatever else comes is read and dropped: closing on it would reset the answer.
      socket.off('data', read).resume()
      void respond(socket, head)
    })
  })
  try {
    server.listen(port, host)
    await once(server, 'listening')
  } catch (error) {
    const code = String((error as NodeJS.ErrnoException).code)
    const why = WHY_NOT[code] ?? `${messageOf(error)}; allowed: an address of this host, or off`
    throw new UsageError(`--metrics-address "${text}": ${why}`)
  }
  // A connection that cannot be accepted for want of descriptors must not end the forwarding.
  server.on('error', () => {})
  // Alerts decide how long the process lives.
  server.unref()
  const { address, family, port: boundPort } = server.address() as AddressInfo
  return {
    /** `[::]:9376` */
    address: `${family === 'IPv6' ? `[${address}]` : address}:${boundPort}`,
    /** Until then the process is alive and not ready. */
    serve(ours: Routes): void {
      routes = { ...ours, metrics: shared(ours.metrics) }
    },
    async [Symbol.asyncDispose](): Promise<void> {
      server.close()
      for (const socket of connections) socket.destroy()
    },
  }
}

const STARTING: Routes = {
  metrics: async () => '\n',
  live: () => undefined,
  ready: () => 'starting: the pipe is not open yet',
}

async function answer(routes: Routes, method?: string, target = ''): Promise<Answer> {
  if (method === undefined) return ['400 Bad Request', 'not an HTTP/1 request\n']
  if (method !== 'GET' && method !== 'HEAD')
    return ['405 Method Not Allowed', 'allowed: GET, HEAD\n']
  const [path, query] = target.split('?', 2)
  switch (path) {
    case '/metrics':
      return ['200 OK', await routes.metrics(), METRICS_TYPE]
    case '/livez':
      return health(routes.live())
    case '/readyz':
      return health(routes.ready(new URLSearchParams(query).has('nats')))
    default:
      return ['404 Not Found', 'there are /metrics, /livez, /readyz and /readyz?nats\n']
  }
}

const health = (trouble: string | undefined): Answer =>
  trouble === undefined ? ['200 OK', 'ok\n'] : ['503 Service Unavailable', `${trouble}\n`]

/** One text for all requests during its rendering, and for a while after. */
function shared(render: Routes['metrics']): Routes['metrics'] {
  let text: Promise<string | Buffer> | undefined
  const forget = () => {
    text = undefined
  }
  return () => (text ??= render().finally(() => setTimeout(forget, SHARED_MS).unref()))
}

/** Adds an open connection; one more than `max` closes the oldest. */
function admit(socket: Socket, open: Set<Socket>, max: number): void {
  open.add(socket)
  socket.once('close', () => open.delete(socket))
  if (open.size <= max) return
  const [oldest] = open
  open.delete(oldest!)
  oldest!.destroy()
}
