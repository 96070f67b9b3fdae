// A real HTTP server that remembers what it was sent and answers what a test wants.

import { once } from 'node:events'
import { createServer, type IncomingHttpHeaders, type Server, type ServerResponse } from 'node:http'
import type { Server as SecureServer } from 'node:https'
import type { AddressInfo } from 'node:net'

export interface Received {
  readonly method: string
  readonly path: string
  readonly headers: IncomingHttpHeaders
  readonly body: string
}

export interface HttpServer {
  /** `http://127.0.0.1:port` */
  readonly url: string
  /** `127.0.0.1:port` */
  readonly host: string
  readonly received: Received[]
  /** What is done with each request; at first, 200 and `ok`. */
  answer: (response: ServerResponse, request: Received) => void
  [Symbol.asyncDispose](): Promise<void>
}

export async function startHttpServer(): Promise<HttpServer> {
  const received: Received[] = []
  const server = createServer(async (request, response) => {
    const chunks: Buffer[] = []
    for await (const chunk of request) chunks.push(chunk)
    const { method = '', url = '', headers } = request
    const body = Buffer.concat(chunks).toString()
    const one = { method, path: url, headers, body }
    received.push(one)
    started.answer(response, one)
  })
  const opened = await listening(server)
  const started: HttpServer = {
    ...opened,
    url: `http://${opened.host}`,
    received,
    answer: (response) => void response.end('ok'),
  }
  return started
}

/** On a free port, until it is disposed of. */
export async function listening(server: Server | SecureServer) {
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  return {
    host: `127.0.0.1:${(server.address() as AddressInfo).port}`,
    async [Symbol.asyncDispose]() {
      server.closeAllConnections()
      server.close()
      await once(server, 'close')
    },
  }
}
