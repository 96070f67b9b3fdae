// Where Falco's lines come from: a named pipe or standard input. Hides how each is opened, paused and ended.

import { once } from 'node:events'
import { closeSync, fstatSync } from 'node:fs'
import { Socket } from 'node:net'
import { FatalError, messageOf } from '../../shared/errors.ts'
import { aborted } from '../../shared/process/shutdown.ts'
import { openFifo, watchFifo } from './fifo.ts'
import { type ChunkSink, readRest } from './read-rest.ts'
import { setAside, whyNotAside } from './set-aside.ts'
import { pumpStdinStream } from './stdin-stream.ts'

export interface Source {
  readonly kind: 'pipe' | 'stdin'
  /**
   * Reads into the sink until the input ends, or until `stop` and the bytes that it holds by then. From `hurry`
   * on it waits for no writer. Rejects with a FatalError when it cannot go on; the sink has all that was read.
   */
  pump(sink: ChunkSink, stop: AbortSignal, hurry: AbortSignal): Promise<void>
}

/**
 * Opens `-` (standard input) or the named pipe at `path`, which is made if nothing is there. Throws a FatalError.
 * Calls `notAside` with the reason if the pipe cannot be set aside at a stop.
 */
export function openSource(
  path: string,
  readBytes: number,
  notAside: (reason: string) => void,
): Source {
  if (path === '-') {
    const stat = fstatSync(0)
    if (stat.isDirectory()) throw new FatalError('standard input is a directory')
    const pump = stat.isFIFO() || stat.isSocket() ? pumpPolled : pumpStdinStream
    return {
      kind: 'stdin',
      pump: (sink, stop, hurry) => guarded(pump(0, readBytes, sink, stop, hurry), sink),
    }
  }
  const fd = openFifo(path)
  const obstacle = whyNotAside(path)
  if (obstacle !== undefined) notAside(obstacle)
  return {
    kind: 'pipe',
    async pump(sink, stop, hurry) {
      using watch = watchFifo(path, fd)
      const either = AbortSignal.any([stop, watch.gone])
      const setAsideAtStop = () => {
        // The pipe that we put in its place is no replacement; one that another process put there is left alone.
        watch[Symbol.dispose]()
        if (watch.gone.aborted) return undefined
        try {
          return setAside(path, fd)
        } catch (error) {
          if (obstacle === undefined) notAside(messageOf(error))
          return undefined
        }
      }
      await guarded(pumpPolled(fd, readBytes, sink, either, hurry, setAsideAtStop), sink)
      if (watch.gone.aborted) throw watch.gone.reason
    },
  }
}

/** Ends the sink however reading ends; an error of the system is no bug. */
async function guarded(pumping: Promise<boolean>, sink: ChunkSink): Promise<void> {
  let isCutOff = false
  try {
    isCutOff = await pumping
  } catch (error) {
    throw error instanceof FatalError ? error : new FatalError(`cannot read: ${messageOf(error)}`)
  } finally {
    sink.end(isCutOff)
  }
}

/**
 * Reads a pipe or socket through one fixed buffer, woken by the event loop. `setAsideAtStop` gives a descriptor for
 * the rest of a pipe, or undefined where it is not set aside. True: more may have come.
 */
async function pumpPolled(
  fd: number,
  readBytes: number,
  sink: ChunkSink,
  stop: AbortSignal,
  hurry: AbortSignal,
  setAsideAtStop?: () => number | undefined,
): Promise<boolean> {
  const buffer = Buffer.allocUnsafeSlow(readBytes)
  const finished = Promise.withResolvers<void>()
  const socket = new Socket({
    fd,
    readable: true,
    writable: false,
    onread: {
      buffer,
      callback(length) {
        if (sink.write(buffer.subarray(0, length))) return true
        sink.room(stop).then(() => !stop.aborted && socket.resume())
        return false
      },
    },
  })
  socket.on('error', finished.reject).on('end', finished.resolve)
  try {
    await Promise.race([finished.promise, aborted(stop)])
    socket.pause()
    if (!stop.aborted || socket.readableEnded) return false
    const aside = setAsideAtStop?.()
    if (aside === undefined) return await readRest(fd, false, buffer, sink, hurry)
    try {
      const closed = once(socket, 'close')
      socket.destroy()
      await closed
      return await readRest(aside, true, buffer, sink, hurry)
    } finally {
      closeSync(aside)
    }
  } finally {
    socket.destroy()
  }
}
