// One TCP connection: bytes to the server, late and cut anywhere; what the server says back, late and in order.
//
// Bytes are copied when they are written, and compared when they arrive and when they are confirmed: our code must not
// change them until then.

import type { Random } from '../random.ts'
import type { Life, World } from '../world.ts'

/** Of one write. */
interface Piece {
  /** Undefined for the client's own bytes. */
  readonly view: Uint8Array | undefined
  readonly bytes: Buffer
}

export type Link = ReturnType<typeof createLink>

export function createLink(options: {
  world: World
  life: Life
  random: Random
  /** In ms, for each way; drawn anew for each hop. */
  latency: () => number
  /** How many bytes the server takes now; 0: it does not read, until `resume`. */
  readable: () => number
  receive: (chunk: Buffer) => void
  /** Whether the client still listens. */
  isHeard: () => boolean
  /** The client writes, and the server has closed the connection without a word. */
  onVain: () => void
}) {
  const { world, life, random, latency, readable, receive, isHeard, onVain } = options
  const { time } = world
  /** On the way to the server; of the first piece what is before `offset` has arrived. */
  const queue: Piece[] = []
  let offset = 0
  let queued = 0
  /** Written by our code, and not confirmed. */
  const unconfirmed: Piece[] = []
  let written = 0
  let confirmed = 0
  /** On the way to the client. */
  const frames: (() => void)[] = []
  let isPumping = false
  let isDelivering = false
  let isHeld = false
  /** The client has gone: what is queued still arrives. */
  let hasLeft = false
  /** The server has closed it: nothing arrives. */
  let isClosed = false

  function check({ view, bytes }: Piece): void {
    if (view && !bytes.equals(view))
      world.violated('bytes changed', 'bytes were written, and changed before they were confirmed')
  }

  function push(view: Uint8Array | undefined, bytes: Buffer): void {
    if (isClosed && !hasLeft) onVain()
    if (hasLeft || isClosed) return
    const piece = { view, bytes }
    queue.push(piece)
    queued += bytes.length
    if (view) {
      unconfirmed.push(piece)
      written++
    }
    pumpIn(latency())
  }

  function pumpIn(ms: number): void {
    if (isPumping || queued === 0) return
    isPumping = true
    time.at(time.now() + ms, pump)
  }

  function pump(): void {
    isPumping = false
    if (!life.isAlive() && !hasLeft) leave(keptAtKill())
    const mayRead = Math.min(readable(), queued)
    if (mayRead === 0 || isClosed) return
    arrive(random.onceIn(3) ? 1 + random.below(mayRead) : mayRead)
    if (!isClosed) pumpIn(random.onceIn(20) ? random.between(50, 300) : random.below(3))
  }

  function arrive(count: number): void {
    for (let left = count; left > 0 && !isClosed; ) {
      const piece = queue[0]!
      const step = Math.min(left, piece.bytes.length - offset)
      const chunk = piece.bytes.subarray(offset, offset + step)
      if (!hasLeft) check(piece)
      left -= step
      queued -= step
      offset += step
      if (offset === piece.bytes.length) {
        queue.shift()
        offset = 0
      }
      receive(chunk)
    }
  }

  /** After a kill -9 the kernel still sends what it has. */
  const keptAtKill = () => (random.onceIn(4) ? random.below(queued + 1) : queued)

  /** The client is gone: of what is on the way, only the first `kept` bytes arrive. */
  function leave(kept: number): void {
    if (hasLeft) return
    hasLeft = true
    frames.length = 0
    let room = kept + offset
    for (const [index, { bytes }] of queue.entries()) {
      if (room <= 0) {
        queue.length = index
        break
      }
      if (bytes.length > room) queue[index] = { view: undefined, bytes: bytes.subarray(0, room) }
      room -= bytes.length
    }
    queued = Math.min(queued, kept)
  }

  function deliver(): void {
    isDelivering = false
    if (isHeld) return
    const count = random.onceIn(4) ? 1 + random.below(frames.length) : frames.length
    // What a frame sets off may end the connection, and so empty the list.
    for (let left = count; left > 0 && frames.length > 0; left--) {
      const frame = frames.shift()!
      if (isHeard()) frame()
    }
    deliverIn(latency())
  }

  function deliverIn(ms: number): void {
    if (isDelivering || isHeld || frames.length === 0) return
    isDelivering = true
    time.at(time.now() + ms, deliver)
  }

  return {
    write: (view: Uint8Array) => push(view, Buffer.from(view)),
    /** Bytes of the client itself. */
    command: (bytes: Buffer) => push(undefined, bytes),
    /** How many writes there were. */
    written: () => written,
    /** The server has confirmed the first `upTo` writes. */
    confirm(upTo: number): void {
      for (; confirmed < upTo; confirmed++) check(unconfirmed.shift()!)
    },
    /** The client closes it, and its bytes may change from now on. */
    closeByClient(): void {
      for (const piece of unconfirmed) check(piece)
      leave(random.pick([0, random.below(queued + 1), queued]))
    },
    /** The client's machine is without power. */
    cutPower: () => leave(random.onceIn(3) ? random.below(queued + 1) : 0),
    hasLeft: () => hasLeft,
    isClosed: () => isClosed,
    /** Whether bytes are on the way that the server has not read. */
    queued: () => queued,
    /** The server reads again. */
    resume: () => pumpIn(latency()),
    /** The server says something, which happens at the client. */
    send(frame: () => void): void {
      if (hasLeft || isClosed) return
      frames.push(frame)
      deliverIn(latency())
    },
    /** Nothing that the server says arrives, until `release` or the end. */
    hold(): void {
      isHeld = true
    },
    release(): void {
      isHeld = false
      deliverIn(latency())
    },
    /** The server closes it: `end` happens at the client, unless nobody tells it. `flush`: after all that was said. */
    closeByServer(flush: boolean, end: (() => void) | undefined): void {
      if (isClosed) return
      isClosed = true
      if (isHeld) frames.length = 0
      else if (!flush) frames.length = random.below(frames.length + 1)
      isHeld = false
      queue.length = queued = 0
      if (!end || hasLeft) return
      frames.push(end)
      deliverIn(latency())
    },
  }
}
