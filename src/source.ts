// Where Falco's lines come from: a named pipe or standard input. Hides how each is opened, paused,
// interrupted and ended.

import { once } from 'node:events'
import { closeSync, fstatSync, readSync } from 'node:fs'
import { Socket } from 'node:net'
import { addAbortSignal } from 'node:stream'
import { setImmediate as afterPoll, setTimeout as delay } from 'node:timers/promises'
import { setAside, whyNotAside } from './aside.ts'
import { FatalError, messageOf } from './errors.ts'
import { openFifo, watchFifo } from './fifo.ts'

/** What the source needs of the intake. */
export interface ChunkSink {
  write(chunk: Buffer): boolean
  room(): Promise<void>
  isMidLine(): boolean
  end(): void
}

/** An open input. */
export interface Source {
  readonly kind: 'pipe' | 'stdin'
  /**
   * Reads into the sink until the input ends, or until `stop`, and what was in it by then. Rejects
   * with a FatalError when it cannot go on; then the sink has all that was read before.
   */
  pump(sink: ChunkSink, stop: AbortSignal): Promise<void>
}

/**
 * A pipe holds at most this much (Linux: fs.pipe-max-size), so at a stop no more is owed; and as
 * much again is granted to the line that is begun by then.
 */
const PIPE_BYTES_MAX = 1024 * 1024
/** How long a stop waits for a writer that has the pipe open, or is in the middle of a line. */
const WRITER_GRACE_MS = 250
/** How often, at a stop, a pipe that nobody has open is looked at, a millisecond apart. */
const ENDS_SEEN = 10
const NEWLINE = 0x0a

/**
 * Opens `-` (standard input) or the named pipe at `path`, which is made if nothing is there.
 * Throws a FatalError that says what to do when it is something else or cannot be opened.
 * `notAside` is called with the reason if the pipe cannot be set aside at a stop.
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
    return { kind: 'stdin', pump: (sink, stop) => guarded(pump(0, readBytes, sink, stop), sink) }
  }
  const fd = openFifo(path)
  const obstacle = whyNotAside(path)
  if (obstacle !== undefined) notAside(obstacle)
  return {
    kind: 'pipe',
    async pump(sink, stop) {
      using watch = watchFifo(path, fd)
      const either = AbortSignal.any([stop, watch.gone])
      const lastReader = () => {
        // One that was replaced is left as it is: what is at the path now is not ours.
        if (watch.gone.aborted) return undefined
        try {
          return setAside(path, fd)
        } catch (error) {
          if (obstacle === undefined) notAside(messageOf(error))
          return undefined
        }
      }
      await guarded(pumpPolled(fd, readBytes, sink, either, lastReader), sink)
      if (watch.gone.aborted) throw watch.gone.reason
    },
  }
}

/** However reading ends, the sink is told, and what went wrong is no bug. */
async function guarded(pumping: Promise<void>, sink: ChunkSink): Promise<void> {
  try {
    await pumping
  } catch (error) {
    throw error instanceof FatalError ? error : new FatalError(`cannot read: ${messageOf(error)}`)
  } finally {
    sink.end()
  }
}

/** Reads a pipe or socket through one fixed buffer, woken by the event loop. */
async function pumpPolled(
  fd: number,
  readBytes: number,
  sink: ChunkSink,
  stop: AbortSignal,
  lastReader: () => number | undefined = () => undefined,
): Promise<void> {
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
        sink.room().then(() => !stop.aborted && socket.resume())
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
    if (!stop.aborted || socket.readableEnded) return
    const last = lastReader()
    if (last !== undefined) {
      const closed = once(socket, 'close')
      socket.destroy()
      await closed
    }
    try {
      await readRest(last ?? fd, last !== undefined, buffer, sink)
    } finally {
      if (last !== undefined) closeSync(last)
    }
  } finally {
    stop.removeEventListener('abort', onStop)
    socket.destroy()
  }
}

/** After a stop: reads what is in the pipe, and the rest of a line that is being written. */
async function readRest(
  fd: number,
  setAside: boolean,
  buffer: Buffer,
  sink: ChunkSink,
): Promise<void> {
  let owed = PIPE_BYTES_MAX
  let ends = 0
  let waitUntil = performance.now() + WRITER_GRACE_MS
  await sink.room()
  while (owed > 0 || (owed > -PIPE_BYTES_MAX && sink.isMidLine())) {
    // A writer that never pauses must not keep signals and timers from being heard.
    await afterPoll()
    // Beyond what is owed, byte by byte up to the end of the line: nothing of the next is taken.
    const length = readAvailable(fd, owed > 0 ? buffer : buffer.subarray(0, 1))
    if (length === 0) {
      // Nobody has it open. But somebody may have looked it up before it was set aside.
      if (!setAside || ++ends === ENDS_SEEN) return
      await delay(1)
    } else if (length !== undefined) {
      owed -= length
      waitUntil = performance.now() + WRITER_GRACE_MS
      if (!sink.write(buffer.subarray(0, length))) await sink.room()
    } else if ((setAside || sink.isMidLine()) && performance.now() < waitUntil) {
      // Somebody is in the middle of a line, or has opened it and is about to write.
      await delay(1)
    } else {
      return
    }
  }
}

/** Bytes read, 0 at the end of the input, undefined when nothing is there now. */
function readAvailable(fd: number, buffer: Buffer): number | undefined {
  try {
    return readSync(fd, buffer)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EAGAIN') return undefined
    throw error
  }
}

/** Standard input that is a file, a terminal or /dev/null, through Node's own stream. */
async function pumpStream(
  fd: number,
  readBytes: number,
  sink: ChunkSink,
  stop: AbortSignal,
): Promise<void> {
  // A terminal may never say another word; the next bytes of a file are always there.
  const input = fstatSync(fd).isFile() ? process.stdin : addAbortSignal(stop, process.stdin)
  try {
    for await (const chunk of input as AsyncIterable<Buffer>)
      for (let at = 0; at < chunk.length; at += readBytes) {
        const piece = chunk.subarray(at, at + readBytes)
        const rest = stop.aborted ? restOfLine(piece, sink) : piece
        if (!sink.write(rest)) await sink.room()
        if (stop.aborted && !sink.isMidLine()) return
      }
  } catch (error) {
    if (!stop.aborted) throw error
  }
}

/** What is needed to end the line that has begun; nothing when none has. */
function restOfLine(bytes: Buffer, sink: ChunkSink): Buffer {
  if (!sink.isMidLine()) return bytes.subarray(0, 0)
  const newline = bytes.indexOf(NEWLINE)
  return newline < 0 ? bytes : bytes.subarray(0, newline + 1)
}
