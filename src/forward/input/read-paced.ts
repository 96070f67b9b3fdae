// Until a stop: reads whenever something comes or, when much comes, a few milliseconds' worth at a time.

import type { Clock, Timer } from '../../shared/clock.ts'
import { aborted } from '../../shared/process/shutdown.ts'
import type { Input } from './input.ts'
import { firstPace, paceAfter } from './pace.ts'
import type { ChunkSink } from './read-rest.ts'

/** The most that one look reads: what a pipe holds that nobody has enlarged. */
const LOOK_BYTES_MAX = 64 * 1024

/**
 * Reads into the sink. `mayPause`: no other process can make its reads wait, as one that shares standard input can. True: the
 * input has ended; false: `stop` has come, and nothing is read any more.
 */
export async function readPaced(
  clock: Clock,
  input: Input,
  buffer: Buffer,
  sink: Pick<ChunkSink, 'write' | 'room' | 'lines'>,
  stop: AbortSignal,
  mayPause: boolean,
): Promise<boolean> {
  let pace = firstPace(clock.now())
  let timer: Timer | undefined
  let hasRoom = true
  const broken = Promise.withResolvers<never>()

  function take(length: number): void {
    hasRoom = sink.write(buffer.subarray(0, length))
  }

  function hasSeen(bytes: number): void {
    if (mayPause) pace = paceAfter(pace, { now: clock.now(), bytes, lines: sink.lines() })
  }

  /** While events are not waited for: waits for them again, or for the end of the pause. */
  function goOn(): void {
    if (!hasRoom) sink.room(stop).then(hasRoomAgain)
    else if (pace.pauseMs === 0) input.resume()
    else timer = clock.after(pace.pauseMs, look)
  }

  function hasRoomAgain(): void {
    hasRoom = true
    if (stop.aborted) return
    if (pace.pauseMs === 0) input.resume()
    else look()
  }

  function look(): void {
    let bytes = 0
    let length: number | undefined
    do {
      length = read()
      if (!length) break
      take(length)
      bytes += length
    } while (hasRoom && length === buffer.length && bytes < LOOK_BYTES_MAX)
    if (length === 0) input.resume()
    else {
      hasSeen(bytes)
      goOn()
    }
  }

  /** 0 at the end, which the event loop has to meet, too, and after an error. */
  function read(): number | undefined {
    try {
      return input.read(buffer)
    } catch (error) {
      broken.reject(error)
      return 0
    }
  }

  const ended = input.flow(buffer, (length) => {
    take(length)
    hasSeen(length)
    if (hasRoom && pace.pauseMs === 0) return true
    goOn()
    return false
  })
  try {
    const isStopped = aborted(stop).then(() => true)
    return !(await Promise.race([ended, broken.promise, isStopped]))
  } finally {
    timer?.[Symbol.dispose]()
    input.pause()
  }
}
