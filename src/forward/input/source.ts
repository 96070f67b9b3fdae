// Where Falco's lines come from: a named pipe or standard input. Hides how each is opened, paused,
// interrupted and ended.

import { once } from 'node:events'
import { closeSync, fstatSync } from 'node:fs'
import { Socket } from 'node:net'
import { addAbortSignal } from 'node:stream'
import { FatalError, messageOf } from '../../shared/errors.ts'
import { openFifo, watchFifo } from './fifo.ts'
import { type LineSink, readRest } from './read-rest.ts'
import { setAside, whyNotAside } from './set-aside.ts'

/** What the source needs of the batcher. */
export interface ChunkSink extends LineSink {
  /** Takes it in any case. False: it is full, and only a stop reads on before `room()`. */
  write(chunk: Buffer): boolean
  /** Resolves when it is no longer full, or at the stop. */
  room(stop: AbortSignal): Promise<void>
  /** `isCutOff`: the writer of the last line may not have finished it. */
  end(isCutOff: boolean): void
}

/** An open input. */
export interface Source {
  readonly kind: 'pipe' | 'stdin'
  /**
   * Reads into the sink until the input ends, or until `stop` and the bytes that it holds by then. From `hurry`
   * on it waits for no writer. Rejects with a FatalError when it cannot go on; the sink has all that was read.
   */
  pump(sink: ChunkSink, stop: AbortSignal, hurry: AbortSignal): Promise<void>
}

/** Reads an open descriptor into the sink. True: more may have come. */
type Pump = (
  fd: number,
  readBytes: number,
  sink: ChunkSink,
  stop: AbortSignal,
  hurry: AbortSignal,
  /** Gives a descriptor for the rest of a pipe that is set aside, or undefined where it is not. */
  setAsideAtStop?: () => number | undefined,
) => Promise<boolean>

/**
 * Opens `-` (standard input) or the named pipe at `path`, which is made if nothing is there.
 * Throws a FatalError with what to do when something else is there or it cannot be opened.
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
    // Files and terminals cannot be polled, so they go through Node's own stream.
    const pump = stat.isFIFO() || stat.isSocket() ? pumpPolled : pumpStream
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

/** Pipes and sockets, through one fixed buffer, woken by the event loop. */
const pumpPolled: Pump = async (fd, readBytes, sink, stop, hurry, setAsideAtStop) => {
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
  const onStop = () => finished.resolve()
  stop.addEventListener('abort', onStop)
  if (stop.aborted) onStop()
  try {
    await finished.promise
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
    stop.removeEventListener('abort', onStop)
    socket.destroy()
  }
}

/** Standard input that is a file, a terminal or /dev/null, through Node's own stream. */
const pumpStream: Pump = async (fd, readBytes, sink, stop, hurry) => {
  // A terminal may stay silent; the next bytes of a file are always there.
  const input = addAbortSignal(fstatSync(fd).isFile() ? hurry : stop, process.stdin)
  try {
    for await (const chunk of input as AsyncIterable<Buffer>)
      for (let at = 0; at < chunk.length; at += readBytes) {
        const piece = chunk.subarray(at, at + readBytes)
        const wanted = stop.aborted ? restOfLine(piece, sink) : piece
        if (!sink.write(wanted)) await sink.room(stop)
        if (stop.aborted && !sink.isMidLine()) return false
      }
  } catch (error) {
    if (!stop.aborted) throw error
    return true
  }
  return false
}

/** The bytes that end the line that has begun; none where none has. */
function restOfLine(bytes: Buffer, sink: LineSink): Buffer {
  if (!sink.isMidLine()) return bytes.subarray(0, 0)
  const newline = bytes.indexOf('\n')
  return newline < 0 ? bytes : bytes.subarray(0, newline + 1)
}
