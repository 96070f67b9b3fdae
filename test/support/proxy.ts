// A TCP proxy in front of a server, to cut connections where it hurts.

import { once } from 'node:events'
import { createConnection, createServer, type Socket } from 'node:net'

export interface Proxy extends AsyncDisposable {
  readonly url: string
  /** Bytes that went to the server so far. */
  forwarded(): number
  /** Resets every connection. */
  cut(): void
  connections(): number
}

export async function startProxy(port: number): Promise<Proxy> {
  const pairs = new Set<[Socket, Socket]>()
  let bytes = 0
  const server = createServer((client) => {
    const upstream = createConnection(port, '127.0.0.1')
    const pair: [Socket, Socket] = [client, upstream]
    pairs.add(pair)
    client.on('data', (chunk) => {
      bytes += chunk.length
    })
    client.pipe(upstream).pipe(client)
    for (const socket of pair)
      socket
        .on('error', () => {})
        .on('close', () => {
          pairs.delete(pair)
          client.destroy()
          upstream.destroy()
        })
  }).listen(0, '127.0.0.1')
  await once(server, 'listening')
  return {
    url: `nats://127.0.0.1:${(server.address() as { port: number }).port}`,
    forwarded: () => bytes,
    cut() {
      for (const [client] of pairs) client.resetAndDestroy()
    },
    connections: () => pairs.size,
    async [Symbol.asyncDispose]() {
      for (const [client] of pairs) client.destroy()
      server.close()
      await once(server, 'close')
    },
  }
}
