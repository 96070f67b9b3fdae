// Where Falco's lines come from: a named pipe or standard input. Hides how each is opened, paused,
// interrupted and ended.

import { once } from 'node:events'
import { closeSync, fstatSync, readSync } from 'node:fs'
import { Socket } from 'node:net'
import { addAbortSignal } from 'node:stream'
import { setImmediate as afterPoll, setTimeout as delay } from 'node:timers/promises'
import { FatalError, messageOf } from '../../shared/errors.ts'
import { openFifo, PIPE_BYTES_MAX, watchFifo } from './fifo.ts'
import { setAside, whyNotAside } from './set-aside.ts'

/** What the source needs of the batcher. */
export interface ChunkSink {
  /** Takes it in any case. False: it is full, and only a stop reads on before `room()`. */
  write(chunk: Buffer): boolean
  /** Resolves when it is no longer full, or at the stop. */
  room(stop: AbortSignal): Promise<void>
  isMidLine(): boolean
  end(isCutOff: boolean): void
}

/** An open input. */
export interface Source {
  readonly kind: 'pipe' | 'stdin'
  /**
   * Reads into the sink until the input ends, or until `stop`, and what was in it by then; from `hurry` on
   * it waits for no writer, and ends at once. Rejects with a FatalError when it cannot go on; then the sink has
   * all that was read before.
   */
  pump(sink: ChunkSink, stop: AbortSignal, hurry: AbortSignal): Promise<void>
}

// A stop reads what a pipe can hold, PIPE_BYTES_MAX, and grants as much again to the line that is begun by then.

/** How long a stop waits for a writer that has the pipe open, or is in a write: Falco's CPU may be throttled … */
const WRITER_GRACE_MS = 500
/** … and in all, for each of the two; so long, too, for one that is in the middle of a line. */
const WRITERS_MS = 2_000
/** How often the pipe is looked at, a millisecond apart, before it counts as quiet or ended: a time may pass in one go. */
const LOOKS_MIN = 10
/** How much of a line is read byte by byte: most are shorter. */
const BYTEWISE_MAX = 4096
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
      const lastReader = () => {
        // What we put in its place ourselves is no replacement; what another did is left as it is.
        watch[Symbol.dispose]()
        if (watch.gone.aborted) return undefined
        try {
          return setAside(path, fd)
        } catch (error) {
          if (obstacle === undefined) notAside(messageOf(error))
          return undefined
        }
      }
      await guarded(pumpPolled(fd, readBytes, sink, either, hurry, lastReader), sink)
      if (watch.gone.aborted) throw watch.gone.reason
    },
  }
}

/** However reading ends, the sink is told, and what went wrong is no bug. */
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

/** Reads a pipe or socket through one fixed buffer, woken by the event loop. True: more may have come. */
async function pumpPolled(
  fd: number,
  readBytes: number,
  sink: ChunkSink,
  stop: AbortSignal,
  hurry: AbortSignal,
  lastReader: () => number | undefined = () => undefined,
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
  const onStop = () => finished.resolve()
  stop.addEventListener('abort', onStop)
  if (stop.aborted) onStop()
  try {
    await finished.promise
    socket.pause()
    if (!stop.aborted || socket.readableEnded) return false
    const last = lastReader()
    if (last !== undefined) {
      const closed = once(socket, 'close')
      socket.destroy()
      await closed
    }
    try {
      return await readRest(last ?? fd, last !== undefined, buffer, sink, hurry)
    } finally {
      if (last !== undefined) closeSync(last)
    }
  } finally {
    stop.removeEventListener('abort', onStop)
    socket.destroy()
  }
}

/**
 * After a stop: reads what is in the pipe, whether or not there is room, since it was written, and Falco may wait
 * in the middle of a write; then up to the end of the line that is being written. Both are bounded: a writer that
 * never pauses in bytes, one that does in time. `hurry`: without any waiting. True: a writer may write on.
 */
async function readRest(
  fd: number,
  setAside: boolean,
  buffer: Buffer,
  sink: ChunkSink,
  hurry: AbortSignal,
): Promise<boolean> {
  let hasWriter = setAside || sink.isMidLine()

  async function read(next: () => number | undefined, isWanted: () => boolean) {
    let owed = PIPE_BYTES_MAX
    let ends = 0
    let looks = 0
    let quietSince = 0
    let emptySince: number | undefined
    while (owed > 0 && isWanted()) {
      // A writer that never pauses must not keep signals and timers from being heard.
      if (!hurry.aborted) await afterPoll()
      const length = next()
      if (length !== undefined && length > 0) {
        sink.write(buffer.subarray(0, length))
        owed -= length
        looks = 0
        hasWriter = true
        continue
      }
      if (length === undefined) {
        const now = performance.now()
        if (looks++ === 0) quietSince = now
        emptySince ??= now
        const grace = sink.isMidLine() ? WRITERS_MS : WRITER_GRACE_MS
        const isQuiet = looks > LOOKS_MIN && now - quietSince > grace
        if (!hasWriter || hurry.aborted || isQuiet) return 'quiet'
        if (now - emptySince > WRITERS_MS) return 'busy'
      } else if (!setAside || hurry.aborted || ++ends === LOOKS_MIN) {
        // No process has it open; but one may have looked it up before it was set aside.
        return 'ended'
      }
      await delay(1)
    }
    return 'busy'
  }

  const whole = await read(
    () => readAvailable(fd, buffer, 0, buffer.length),
    () => true,
  )
  if (whole !== 'busy') return whole === 'quiet'
  // No other process can read a pipe that was set aside: what is in it at the end is lost, and not counted.
  for (let owed = setAside ? PIPE_BYTES_MAX : 0; owed > 0; ) {
    const length = readAvailable(fd, buffer, 0, buffer.length)
    if (!length) break
    sink.write(buffer.subarray(0, length))
    owed -= length
  }
  let sinceNewline = 0
  const line = await read(
    () => {
      const length = readTowardsNewline(fd, buffer, sinceNewline)
      const hasNewline = buffer.subarray(0, length ?? 0).includes(NEWLINE)
      sinceNewline = hasNewline ? 0 : sinceNewline + (length ?? 0)
      return length
    },
    () => sink.isMidLine(),
  )
  return line !== 'ended'
}

/**
 * Byte by byte up to a newline, so that nothing of the next line is taken. Of a line that goes on and on as much
 * again as has come of it: should that take the beginning of the next one, it is read to its end in its turn.
 */
function readTowardsNewline(fd: number, buffer: Buffer, sinceNewline: number): number | undefined {
  if (sinceNewline >= BYTEWISE_MAX) return readAvailable(fd, buffer, 0, sinceNewline)
  for (let at = 0; at < buffer.length && at < BYTEWISE_MAX; at++) {
    const length = readAvailable(fd, buffer, at, 1)
    if (!length) return at || length
    if (buffer[at] === NEWLINE) return at + 1
  }
  return Math.min(buffer.length, BYTEWISE_MAX)
}

/** Bytes read, 0 at the end of the input, undefined when nothing is there now. */
function readAvailable(fd: number, buffer: Buffer, at: number, most: number): number | undefined {
  try {
    return readSync(fd, buffer, at, Math.min(most, buffer.length - at), null)
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
  hurry: AbortSignal,
): Promise<boolean> {
  // A terminal may never say another word; the next bytes of a file are always there.
  const input = addAbortSignal(fstatSync(fd).isFile() ? hurry : stop, process.stdin)
  try {
    for await (const chunk of input as AsyncIterable<Buffer>)
      for (let at = 0; at < chunk.length; at += readBytes) {
        const piece = chunk.subarray(at, at + readBytes)
        const rest = stop.aborted ? restOfLine(piece, sink) : piece
        if (!sink.write(rest)) await sink.room(stop)
        if (stop.aborted && !sink.isMidLine()) return false
      }
  } catch (error) {
    if (!stop.aborted) throw error
    return true
  }
  return false
}

/** What is needed to end the line that has begun; nothing when none has. */
function restOfLine(bytes: Buffer, sink: ChunkSink): Buffer {
  if (!sink.isMidLine()) return bytes.subarray(0, 0)
  const newline = bytes.indexOf(NEWLINE)
  return newline < 0 ? bytes : bytes.subarray(0, newline + 1)
}
