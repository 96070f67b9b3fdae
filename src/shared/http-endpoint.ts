// Serves /metrics, /livez and /readyz over HTTP. Any pod may reach the port, so whatever a peer does costs bounded memory and
// time: one request a connection, one rendering at a time. node:http parses all that a peer has
// sent at once: 800 connections with 20 requests each cost it 45 MB more than this.

import { once } from 'node:events'
import { type AddressInfo, createServer, type Socket } from 'node:net'
import { messageOf, UsageError } from './errors.ts'
import type { Address } from './options/parsers.ts'

/** The pages. A health check returns the trouble, or undefined when all is well. */
export interface Routes {
  metrics(): Promise<string | Buffer>
  live(): string | undefined
  ready(withNats: boolean): string | undefined
}

export interface Endpoint extends AsyncDisposable {
  /** `[::]:9376` */
  readonly address: string
  /** Until then we are alive and not ready. */
  serve(routes: Routes): void
}

interface Answer {
  readonly status: keyof typeof STATUS
  readonly type?: string
  readonly body: string | Buffer
}

const STATUS = {
  200: 'OK',
  400: 'Bad Request',
  404: 'Not Found',
  405: 'Method Not Allowed',
  500: 'Internal Server Error',
  503: 'Service Unavailable',
}
/** Classic text, whatever is asked for: in OpenMetrics `falco_events` would have to be renamed. */
const METRICS_TYPE = 'text/plain; version=0.0.4; charset=utf-8'
const REQUEST = /^([A-Z]+) (\S+) HTTP\/1\.[01]\r\n/
const HEAD_BYTES_MAX = 8 * 1024
/** A connection ends after this time, whether the peer has sent its request and read the answer or not. */
const CONNECTION_MS = 10_000
/**
 * One more closes the oldest. The kernel queues at most 511 (Node's backlog) for us to accept at once, so that a
 * flood closes no connection before its request is read.
 */
const CONNECTIONS_MAX = 512
/** The same for connections that have not read their metrics: the kernel buffers megabytes for each. */
const UNREAD_METRICS_MAX = 8
/** Requests for metrics within this time share one text. */
const SHARED_MS = 1_000

/** Listens; without a host on all addresses, IPv6 and IPv4. Throws a UsageError where it cannot. */
export async function openEndpoint({ text, host, port }: Address): Promise<Endpoint> {
  let routes: Routes = STARTING
  const connections = createCrowd(CONNECTIONS_MAX)
  const unreadMetrics = createCrowd(UNREAD_METRICS_MAX)

  async function respond(socket: Socket, head: string): Promise<void> {
    const [, method, target] = REQUEST.exec(head) ?? []
    const { status, type, body } = await answer(routes, method, target).catch(
      (error): Answer => ({ status: 500, body: `${messageOf(error)}\n` }),
    )
    if (type === METRICS_TYPE) unreadMetrics.enter(socket)
    socket.cork()
    socket.write(
      `HTTP/1.1 ${status} ${STATUS[status]}\r\n` +
        `Content-Type: ${type ?? 'text/plain; charset=utf-8'}\r\n` +
        `Content-Length: ${Buffer.byteLength(body)}\r\nConnection: close\r\n\r\n`,
    )
    if (method !== 'HEAD') socket.write(body)
    socket.end()
    socket.uncork()
  }

  const server = createServer({ allowHalfOpen: true }, (socket) => {
    connections.enter(socket)
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
    throw new UsageError(`--metrics-address "${text}": ${whyNot(error)}`)
  }
  // A connection that cannot be accepted for want of descriptors must not end the forwarding.
  server.on('error', () => {})
  // Alerts decide how long the process lives.
  server.unref()
  const bound = server.address() as AddressInfo
  return {
    address:
      bound.family === 'IPv6'
        ? `[${bound.address}]:${bound.port}`
        : `${bound.address}:${bound.port}`,
    serve(ours) {
      routes = { ...ours, metrics: shared(ours.metrics) }
    },
    async [Symbol.asyncDispose]() {
      server.close()
      connections.leave()
    },
  }
}

const STARTING: Routes = {
  metrics: async () => '\n',
  live: () => undefined,
  ready: () => 'starting: the pipe is not open yet',
}

async function answer(routes: Routes, method?: string, target = ''): Promise<Answer> {
  if (method === undefined) return { status: 400, body: 'not an HTTP/1 request\n' }
  if (method !== 'GET' && method !== 'HEAD') return { status: 405, body: 'allowed: GET, HEAD\n' }
  const [path, query] = target.split('?', 2)
  switch (path) {
    case '/metrics':
      return { status: 200, type: METRICS_TYPE, body: await routes.metrics() }
    case '/livez':
      return health(routes.live())
    case '/readyz':
      return health(routes.ready(new URLSearchParams(query).has('nats')))
    default:
      return { status: 404, body: 'there are /metrics, /livez, /readyz and /readyz?nats\n' }
  }
}

const health = (trouble: string | undefined): Answer =>
  trouble === undefined ? { status: 200, body: 'ok\n' } : { status: 503, body: `${trouble}\n` }

/** One text for all requests that come while it is rendered, and for a while after. */
function shared(render: Routes['metrics']): Routes['metrics'] {
  let text: Promise<string | Buffer> | undefined
  const forget = () => {
    text = undefined
  }
  return () => {
    text ??= render().finally(() => setTimeout(forget, SHARED_MS).unref())
    return text
  }
}

/** Open connections; one more than `max` closes the oldest. */
function createCrowd(max: number) {
  const sockets = new Set<Socket>()
  return {
    enter(socket: Socket): void {
      sockets.add(socket)
      socket.once('close', () => sockets.delete(socket))
      if (sockets.size <= max) return
      const [oldest] = sockets
      sockets.delete(oldest!)
      oldest!.destroy()
    },
    leave(): void {
      for (const socket of sockets) socket.destroy()
    },
  }
}

function whyNot(error: unknown): string {
  switch ((error as NodeJS.ErrnoException).code) {
    case 'EADDRINUSE':
      return 'another process has this port; allowed: another address, or off'
    case 'EACCES':
      return 'this port needs privileges; allowed: a port from 1024 up, or off'
    default:
      return `${messageOf(error)}; allowed: an address of this host, or off`
  }
}
