// Between falco-nats and a real server: knows the messages, and ends connections and changes answers where a script
// says so.

import { once } from 'node:events'
import { createConnection, createServer, type Server, type Socket } from 'node:net'
import { freePort } from '../../support/nats.ts'
import { numberIn } from '../alerts.ts'
import { type Frame, splitFrames } from './frames.ts'
import type { AckFate, Way } from './ground.ts'

/** Acknowledgements that come within this time change their order. */
const SHUFFLE_MS = 20

export type Proxy = Awaited<ReturnType<typeof startProxy>>

interface Pair {
  readonly client: Socket
  readonly upstream: Socket
  isHeld: boolean
  /** The server reads no more. */
  isOver: boolean
  readonly held: Buffer[]
  /** How many messages pass before it ends, and the part of the next frame. */
  cutBehind: { after: number; part: number } | undefined
}

/** On an address that no other script has: while nobody listens, another would take the port. */
export async function startProxy(serverPort: number, script: number) {
  const host = `127.0.${1 + (script >> 8)}.${script & 255}`
  const port = await freePort()
  const pairs = new Set<Pair>()
  const sent = new Map<number, number>()
  let stored = 0
  let maxPayload = Number.POSITIVE_INFINITY
  let fate: AckFate = 'arrive'
  let listener: Server | undefined

  function accept(client: Socket): void {
    const upstream = createConnection(serverPort, '127.0.0.1')
    const pair: Pair = {
      client,
      upstream,
      isHeld: false,
      isOver: false,
      held: [],
      cutBehind: undefined,
    }
    pairs.add(pair)
    client.setNoDelay()
    upstream.setNoDelay()
    carry(client, (frame) => up(pair, frame))
    carry(upstream, (frame) => down(pair, frame))
    const [endClient, endUpstream] = [() => client.end(), () => upstream.end()]
    client.on('end', endUpstream).on('close', endUpstream)
    upstream.on('end', endClient).on('close', endClient)
    for (const socket of [client, upstream])
      socket.on('error', () => {}).on('close', () => pairs.delete(pair))
  }

  function up(pair: Pair, frame: Frame): void {
    const { cutBehind } = pair
    const number = frame.subject.startsWith('falco.') ? numberIn(frame.payload) : undefined
    if (cutBehind && (number !== undefined || frame.operation === 'PING')) {
      if (cutBehind.after === 0) {
        const count = Math.floor(cutBehind.part * frame.bytes.length)
        end(pair, frame.bytes.subarray(0, count))
      } else if (number !== undefined) cutBehind.after--
    }
    if (pair.upstream.writableEnded) return
    if (frame.payload.length > maxPayload) pair.isOver = true
    if (number !== undefined && !pair.isOver) sent.set(number, (sent.get(number) ?? 0) + 1)
    pair.upstream.write(frame.bytes)
  }

  function down(pair: Pair, frame: Frame): void {
    const isAck = frame.operation === 'MSG' && /^\{"(stream|error)":/.test(frame.payload)
    if (isAck && /"seq":[1-9]/.test(frame.payload) && !frame.payload.includes('"duplicate"'))
      stored++
    const say = (bytes: Buffer) => {
      if (pair.isHeld) pair.held.push(Buffer.from(bytes))
      else pair.client.write(bytes)
    }
    if (!isAck || fate === 'arrive') say(frame.bytes)
    else if (fate === 'double') say(Buffer.concat([frame.bytes, frame.bytes]))
    else if (fate === 'in another order') shuffle(frame.bytes, say)
  }

  let shuffled: (() => void)[] = []
  function shuffle(bytes: Buffer, say: (bytes: Buffer) => void): void {
    if (shuffled.length === 0)
      setTimeout(() => {
        const steps = shuffled.reverse()
        shuffled = []
        for (const step of steps) step()
      }, SHUFFLE_MS)
    const copy = Buffer.from(bytes)
    shuffled.push(() => say(copy))
  }

  /** The server reads what has come, and the client hears nothing more. */
  function end(pair: Pair, last: Buffer = Buffer.alloc(0)): void {
    pair.upstream.end(last)
    pair.client.resetAndDestroy()
  }

  const newest = () => {
    const pair = [...pairs].at(-1)
    if (!pair) throw new Error('nobody is connected')
    return pair
  }
  const cut = () => {
    for (const pair of pairs) end(pair)
  }
  async function listen(): Promise<void> {
    listener = createServer(accept).listen(port, host)
    await once(listener, 'listening')
  }
  /** Dials are refused. */
  function refuse(): void {
    listener?.close()
    listener = undefined
  }
  await listen()

  const way: Way = {
    hold() {
      newest().isHeld = true
    },
    release() {
      const pair = newest()
      pair.isHeld = false
      for (const bytes of pair.held.splice(0)) pair.client.write(bytes)
    },
    cut,
    cutAt(after, part) {
      Object.assign(newest(), { cutBehind: { after, part }, isHeld: true })
    },
    acks(next) {
      fate = next
    },
    block() {
      refuse()
      cut()
    },
    unblock: listen,
  }
  return {
    address: `${host}:${port}`,
    way,
    refuse,
    listen,
    sent,
    /** The server ends a connection at the first longer message. */
    setMaxPayload(bytes: number): void {
      maxPayload = bytes
    },
    /** How many alerts a stream has acknowledged for the first time. */
    stored: () => stored,
    [Symbol.dispose]() {
      refuse()
      for (const { client, upstream } of pairs) {
        client.destroy()
        upstream.destroy()
      }
    },
  }
}

/** Calls `step` with each frame. */
function carry(from: Socket, step: (frame: Frame) => void): void {
  let begun: Buffer = Buffer.alloc(0)
  from.on('data', (chunk: Buffer) => {
    const { frames, rest } = splitFrames(begun.length > 0 ? Buffer.concat([begun, chunk]) : chunk)
    begun = rest
    for (const frame of frames) step(frame)
  })
}
