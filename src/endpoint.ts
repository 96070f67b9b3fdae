// The HTTP server for whoever watches: /metrics, /livez and /readyz. It only reads.

import { once } from 'node:events'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { messageOf, UsageError } from './errors.ts'
import type { Address } from './values.ts'

/** What is served. A health check gives what is wrong, or undefined where all is well. */
export interface Routes {
  metrics(): Promise<string>
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
  readonly status: number
  readonly type?: string
  readonly body: string
}

/** Classic text, whatever is asked for: in OpenMetrics `falco_events` would have to be renamed. */
const METRICS_TYPE = 'text/plain; version=0.0.4; charset=utf-8'
const REQUEST_TIMEOUT_MS = 10_000

/** Listens; without a host on all addresses, IPv6 and IPv4. Throws a UsageError where it cannot. */
export async function openEndpoint({ text, host, port }: Address): Promise<Endpoint> {
  let routes: Routes = STARTING
  const server = createServer(
    { requestTimeout: REQUEST_TIMEOUT_MS, headersTimeout: REQUEST_TIMEOUT_MS },
    async (request, response) => {
      const { status, type, body } = await answer(routes, request.method, request.url).catch(
        (error): Answer => ({ status: 500, body: messageOf(error) }),
      )
      response.writeHead(status, { 'content-type': type ?? 'text/plain; charset=utf-8' })
      response.end(request.method === 'HEAD' ? undefined : `${body}\n`)
    },
  )
  try {
    server.listen(port, host)
    await once(server, 'listening')
  } catch (error) {
    throw new UsageError(`--metrics-address "${text}": ${whyNot(error)}`)
  }
  // Alerts decide how long the process lives.
  server.unref()
  const bound = server.address() as AddressInfo
  return {
    address:
      bound.family === 'IPv6'
        ? `[${bound.address}]:${bound.port}`
        : `${bound.address}:${bound.port}`,
    serve(ours) {
      routes = ours
    },
    async [Symbol.asyncDispose]() {
      server.close()
      server.closeAllConnections()
    },
  }
}

const STARTING: Routes = {
  metrics: async () => '',
  live: () => undefined,
  ready: () => 'starting: the pipe is not open yet',
}

async function answer(
  routes: Routes,
  method: string | undefined,
  url: string | undefined,
): Promise<Answer> {
  if (method !== 'GET' && method !== 'HEAD') return { status: 405, body: 'allowed: GET, HEAD' }
  const { pathname, searchParams } = new URL(url ?? '/', 'http://localhost')
  switch (pathname) {
    case '/metrics':
      return { status: 200, type: METRICS_TYPE, body: (await routes.metrics()).trimEnd() }
    case '/livez':
      return health(routes.live())
    case '/readyz':
      return health(routes.ready(searchParams.has('nats')))
    default:
      return { status: 404, body: 'there are /metrics, /livez, /readyz and /readyz?nats' }
  }
}

const health = (trouble: string | undefined): Answer =>
  trouble === undefined ? { status: 200, body: 'ok' } : { status: 503, body: trouble }

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
