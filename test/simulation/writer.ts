// One thread that writes lines into whatever is at a path, as Falco's output worker does: a line at a time, and it waits.

import type { Fate, Fifo } from './fifo.ts'
import type { SimulatedPipe } from './pipe.ts'
import type { World } from './world.ts'

export interface WriterOptions {
  readonly path: string
  /** Whether it has the pipe open from its first line on, and not for each line anew. */
  readonly keepAlive: boolean
  /** What it does when no process reads. Falco falls silent, or dies of SIGPIPE where its web server is off. */
  readonly atBrokenPipe: 'dies' | 'falls silent' | 'opens again'
  /** Whether a line takes several writes, as with libc++. */
  readonly inPieces: boolean
}

/** Why a line never comes whole into a pipe. It is `strayed` when it was written into a regular file. */
export type GivenUp = 'discarded' | 'torn' | 'strayed'

interface Handler {
  written(fate: Fate): void
  gaveUp(fate: Fate, why: GivenUp): void
  /** It has died of SIGPIPE. */
  died(): void
}

export type Writer = ReturnType<typeof createWriter>

export function createWriter(
  world: World,
  topic: string,
  pipe: SimulatedPipe,
  options: WriterOptions,
  handler: Handler,
) {
  const { time, trace } = world
  const random = world.random(topic)
  const { path, keepAlive, atBrokenPipe, inPieces } = options
  let queue: Fate[] = []
  let line: Fate | undefined
  let open: { fifo: Fifo; end: ReturnType<Fifo['open']>; listening: Disposable } | undefined
  let [isScheduled, isStalled, isSilent, keepsFile] = [false, false, false, false]
  /** What happens once when so many bytes of a line are written. */
  let trip: { bytes: number; happen: () => void } | undefined
  /** An open(2) finds the pipe, and goes on so much later. */
  let openMs = 0
  let found: Fifo | undefined

  function wake(): void {
    if (isScheduled || isStalled || (!line && queue.length === 0)) return
    schedule(random.part() * (random.onceIn(6) ? 2 : 0.05))
  }

  function schedule(ms: number): void {
    isScheduled = true
    time.at(time.now() + ms, work)
  }

  function work(): void {
    isScheduled = false
    if (isStalled) return
    line ??= queue.shift()
    if (!line) return
    if (isSilent) giveUp('discarded')
    else if (open || openPath()) write(line)
  }

  function write(fate: Fate): void {
    const { fifo, end } = open!
    if (!end.hasPartner()) return
    const { length } = fate.line
    const until = trip ? Math.min(trip.bytes, length - 1) : length
    if (fate.written >= until) {
      const { happen } = trip!
      trip = undefined
      happen()
      return
    }
    const most = inPieces ? random.between(1, 200) : length
    const written = fifo.write(fate, Math.min(until - fate.written, most))
    if (written === undefined) broken()
    else if (written > 0) {
      if (fate.written === length) {
        handler.written(fate)
        line = undefined
        if (!keepAlive) close()
      }
      wake()
    }
  }

  /** False: not now, or not into a pipe. */
  function openPath(): boolean {
    const there = found ?? (keepsFile ? 'file' : pipe.at(path))
    if (there === undefined || there === 'file') {
      // Falco opens with O_CREAT.
      if (there === undefined) pipe.makeFile(path)
      keepsFile = keepAlive
      giveUp('strayed')
      return false
    }
    if (openMs > 0 && !found) {
      found = there
      schedule(openMs)
      return false
    }
    found = undefined
    open = { fifo: there, end: there.open('write'), listening: there.listen(wake) }
    return true
  }

  function broken(): void {
    trace(() => `${topic} gets EPIPE`)
    giveUp('discarded')
    if (atBrokenPipe === 'falls silent' && keepAlive) isSilent = true
    else close()
    if (atBrokenPipe === 'dies') handler.died()
  }

  /** The line that it has in its hands; `why` holds where none of its bytes is written. */
  function giveUp(why: 'discarded' | 'strayed'): void {
    const given = line
    line = undefined
    if (given) handler.gaveUp(given, given.written > 0 ? 'torn' : why)
    wake()
  }

  function close(): void {
    open?.listening[Symbol.dispose]()
    open?.end.close()
    open = undefined
  }

  function discardQueue(): void {
    const discarded = queue
    queue = []
    for (const fate of discarded) handler.gaveUp(fate, 'discarded')
  }

  return {
    queued: () => queue.length,
    put(fate: Fate): void {
      queue.push(fate)
      wake()
    },
    /** Throws its queue away, and opens its path anew with the next line. */
    reload(): void {
      discardQueue()
      isSilent = keepsFile = false
      if (!line) close()
    },
    /** The process has ended; a `put` starts it again. */
    end(): void {
      trace(() => `${topic} ends`)
      discardQueue()
      giveUp('discarded')
      close()
      isSilent = isStalled = keepsFile = false
      found = trip = undefined
      openMs = 0
    },
    /** Lets `happen` come over it when `bytes` of a line are written, at most all but one. */
    tripAt(bytes: number, happen: () => void): void {
      trip = { bytes, happen }
    },
    /** It gets no CPU. */
    stall(ms: number): void {
      isStalled = true
      time.at(time.now() + ms, () => {
        isStalled = false
        wake()
      })
    },
    openSlowly(ms: number, forMs: number): void {
      openMs = ms
      time.at(time.now() + forMs, () => {
        openMs = 0
      })
    },
    /** What has come over it is over: it opens what is at its path. */
    heal(): void {
      found = trip = undefined
      openMs = 0
      isStalled = isSilent = keepsFile = false
      if (open && pipe.at(path) !== open.fifo && !open.end.hasPartner()) {
        giveUp('discarded')
        close()
      }
      wake()
    },
  }
}
