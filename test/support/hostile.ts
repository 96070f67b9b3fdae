// Servers that are none, or none of good will: what they send is up to them. Alerts are delivered to real ones.

import { once } from 'node:events'
import { createServer, type Socket } from 'node:net'

export interface Hostile extends AsyncDisposable {
  readonly url: string
}

/** What it does to each connection. */
export type Behaviour = (socket: Socket) => void

export async function startHostile(behave: Behaviour): Promise<Hostile> {
  const sockets = new Set<Socket>()
  const server = createServer((socket) => {
    sockets.add(socket)
    socket.on('error', () => {}).on('close', () => sockets.delete(socket))
    behave(socket)
  }).listen(0, '127.0.0.1')
  await once(server, 'listening')
  return {
    url: `nats://127.0.0.1:${(server.address() as { port: number }).port}`,
    async [Symbol.asyncDispose]() {
      for (const socket of sockets) socket.destroy()
      server.close()
      await once(server, 'close')
    },
  }
}

export const info = (more = {}): string =>
  `INFO ${JSON.stringify({ server_id: 'X', version: '2.10.0', proto: 1, headers: true, max_payload: 1048576, ...more })}\r\n`

/** Takes the client in, and then does something else than to answer. */
export const afterWelcome =
  (behave: Behaviour): Behaviour =>
  (socket) => {
    socket.write(info())
    socket.once('data', () => {
      socket.write('PONG\r\n')
      behave(socket)
    })
    socket.resume()
  }

/** Writes for as long as the other side reads. */
export function endlessly(socket: Socket, text: () => string | Buffer): void {
  const more = () => {
    while (!socket.destroyed && socket.write(text()));
  }
  socket.on('drain', more)
  more()
}
