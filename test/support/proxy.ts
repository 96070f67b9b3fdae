// A TCP proxy in front of a server, to cut connections where it hurts, or to be slow.

import { once } from 'node:events'
import { createConnection, createServer, type Socket } from 'node:net'
import { setTimeout as delay } from 'node:timers/promises'

export interface Proxy extends AsyncDisposable {
  readonly url: string
  /** Bytes that went to the server so far. */
  forwarded(): number
  /** Resets every connection. */
  cut(): void
  /** Once: forwards up to the middle of the last `text` in what goes to the server, then resets. */
  cutWithin(text: string): Promise<void>
  /** Once: resets instead of forwarding what the server says from `text` on. */
  cutBefore(text: string): Promise<void>
  connections(): number
}

export interface Slowness {
  readonly delayMs: number
  readonly bytesPerSecond: number
}

/** What the server says comes so much later, and no more slowly. */
export interface Distance {
  readonly answersAfterMs: number
}

/** Where to cut in one direction, and whom to tell. */
interface Trap {
  readonly text: string
  readonly offset: number
  readonly sprung: () => void
}

export async function startProxy(port: number, how?: Slowness | Distance): Promise<Proxy> {
  const pairs = new Set<[Socket, Socket]>()
  const traps: { up?: Trap; down?: Trap } = {}
  let bytes = 0
  const server = createServer((client) => {
    const upstream = createConnection(port, '127.0.0.1')
    const pair: [Socket, Socket] = [client, upstream]
    pairs.add(pair)
    client.on('data', (chunk) => {
      bytes += chunk.length
    })
    const carry = async (way: 'up' | 'down', from: Socket, to: Socket) => {
      for await (const chunk of how && 'delayMs' in how ? slowly(from, how) : from) {
        const trap = traps[way]
        const at = trap ? chunk.lastIndexOf(trap.text) : -1
        if (trap && at >= 0) {
          delete traps[way]
          to.write(chunk.subarray(0, at + trap.offset), () => client.resetAndDestroy())
          return trap.sprung()
        }
        if (way === 'down' && how && 'answersAfterMs' in how)
          setTimeout(() => to.write(chunk), how.answersAfterMs)
        else if (!to.write(chunk)) await once(to, 'drain')
      }
      to.end()
    }
    // An end that is not in order is heard as `close`, below.
    carry('up', client, upstream).catch(() => {})
    carry('down', upstream, client).catch(() => {})
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
  const set = (way: 'up' | 'down', text: string, offset: number) =>
    new Promise<void>((sprung) => {
      traps[way] = { text, offset, sprung }
    })
  return {
    url: `nats://127.0.0.1:${(server.address() as { port: number }).port}`,
    forwarded: () => bytes,
    cut() {
      for (const [client] of pairs) client.resetAndDestroy()
    },
    cutWithin: (text) => set('up', text, text.length >> 1),
    cutBefore: (text) => set('down', text, 0),
    connections: () => pairs.size,
    async [Symbol.asyncDispose]() {
      for (const [client] of pairs) client.destroy()
      server.close()
      await once(server, 'close')
    },
  }
}

/** A piece after each delay, as large as makes the rate. */
async function* slowly(chunks: AsyncIterable<Buffer>, { delayMs, bytesPerSecond }: Slowness) {
  const size = (bytesPerSecond * delayMs) / 1000
  for await (const chunk of chunks)
    for (let at = 0; at < chunk.length; at += size) {
      await delay(delayMs)
      yield chunk.subarray(at, at + size)
    }
}
