// Where Falco's lines come from: a named pipe or standard input. Hides how each is opened, paused,
// interrupted and ended.

import { spawnSync } from 'node:child_process'
import { closeSync, constants, fstatSync, mkdirSync, openSync, readSync, statSync } from 'node:fs'
import { Socket } from 'node:net'
import { dirname } from 'node:path'
import { addAbortSignal } from 'node:stream'
import { setImmediate as afterPoll, setTimeout as delay } from 'node:timers/promises'
import { FatalError, messageOf } from './errors.ts'

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

/** Root may lack DAC override, Falco may be another user than we are: others must write, not read. */
const FIFO_MODE = '0622'
/**
 * A pipe holds at most this much (Linux: fs.pipe-max-size), so at a stop no more is owed; and as
 * much again is granted to the line that is begun by then.
 */
const PIPE_BYTES_MAX = 1024 * 1024
/** How long a stop waits for the rest of a line that a writer is in the middle of. */
const MID_LINE_GRACE_MS = 250
/** How often to see whether the pipe is still where Falco will open it. */
const WATCH_INTERVAL_MS = 5_000
const NEWLINE = 0x0a

/**
 * Opens `-` (standard input) or the named pipe at `path`, which is made if nothing is there.
 * Throws a FatalError that says what to do when it is something else or cannot be opened.
 */
export function openSource(path: string, readBytes: number): Source {
  if (path === '-') {
    const stat = fstatSync(0)
    if (stat.isDirectory()) throw new FatalError('standard input is a directory')
    // Files and terminals cannot be polled, so they go through Node's own stream.
    const pump = stat.isFIFO() || stat.isSocket() ? pumpPolled : pumpStream
    return { kind: 'stdin', pump: (sink, stop) => guarded(pump(0, readBytes, sink, stop), sink) }
  }
  const fd = openFifo(path)
  return {
    kind: 'pipe',
    async pump(sink, stop) {
      using watch = watchFifo(path, fd)
      const either = AbortSignal.any([stop, watch.gone])
      await guarded(pumpPolled(fd, readBytes, sink, either), sink)
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

/**
 * Aborts `gone` when something else, or nothing, is at `path`: Falco would write into a file that
 * nobody reads. A restart makes the pipe anew, or says what is in its place.
 */
function watchFifo(path: string, fd: number): Disposable & { readonly gone: AbortSignal } {
  const replaced = new AbortController()
  const { dev, ino } = fstatSync(fd)
  const timer = setInterval(() => {
    const now = statSync(path, { throwIfNoEntry: false })
    if (now?.dev !== dev || now.ino !== ino)
      replaced.abort(
        new FatalError(`the pipe ${path} was removed or replaced; start again to make it anew`),
      )
  }, WATCH_INTERVAL_MS).unref()
  return { gone: replaced.signal, [Symbol.dispose]: () => clearInterval(timer) }
}

/** Whether a named pipe is at `path`; false when nothing is. Throws when something else is. */
export function fifoExists(path: string): boolean {
  const stat = statSync(path, { throwIfNoEntry: false })
  if (stat && !stat.isFIFO())
    throw new FatalError(
      `${path} is ${stat.isDirectory() ? 'a directory' : stat.isFile() ? 'a regular file' : 'not a named pipe'}; ` +
        'falco-nats never removes what it did not make: stop Falco, move it away, and start falco-nats first',
    )
  return stat !== undefined
}

function openFifo(path: string): number {
  try {
    if (!fifoExists(path)) makeFifo(path)
    // Read and write, so that Falco's open never blocks while we live and its closing is no
    // end of file (fifo(7)); non-blocking, so that no thread is stuck in a read.
    const fd = openSync(path, constants.O_RDWR | constants.O_NONBLOCK)
    if (fstatSync(fd).isFIFO()) return fd
    closeSync(fd)
    throw new FatalError(`${path} was replaced while it was being opened; start again`)
  } catch (error) {
    if (error instanceof FatalError) throw error
    throw new FatalError(
      `cannot open the pipe ${path}: ${messageOf(error)}; falco-nats must be able to read and write it`,
    )
  }
}

function makeFifo(path: string): void {
  const umask = process.umask(0o022)
  try {
    makeDirectory(dirname(path))
  } finally {
    process.umask(umask)
  }
  // Node has no mkfifo(3). No shell is involved; `--` ends the options.
  const made = spawnSync('mkfifo', ['-m', FIFO_MODE, '--', path], { encoding: 'utf8' })
  // Somebody else may have made it in the meantime; then all is well.
  if (made.status !== 0 && !fifoExists(path)) throw made.error ?? new Error(made.stderr.trim())
}

/** Not mkdir's own recursion: that loops for ever where nothing can be made, such as in /proc. */
function makeDirectory(path: string): void {
  if (statSync(path, { throwIfNoEntry: false })) return
  makeDirectory(dirname(path))
  try {
    mkdirSync(path)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error
  }
}

/** Reads a pipe or socket through one fixed buffer, woken by the event loop. */
async function pumpPolled(
  fd: number,
  readBytes: number,
  sink: ChunkSink,
  stop: AbortSignal,
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
    if (stop.aborted && !socket.readableEnded) await readRest(fd, buffer, sink)
  } finally {
    stop.removeEventListener('abort', onStop)
    socket.destroy()
  }
}

/** After a stop: reads what is in the pipe, and the rest of a line that is being written. */
async function readRest(fd: number, buffer: Buffer, sink: ChunkSink): Promise<void> {
  let owed = PIPE_BYTES_MAX
  let waitUntil = performance.now() + MID_LINE_GRACE_MS
  await sink.room()
  while (owed > 0 || (owed > -PIPE_BYTES_MAX && sink.isMidLine())) {
    // A writer that never pauses must not keep signals and timers from being heard.
    await afterPoll()
    // Beyond what is owed, byte by byte up to the end of the line: nothing of the next is taken.
    const length = readAvailable(fd, owed > 0 ? buffer : buffer.subarray(0, 1))
    if (length === 0) return
    if (length !== undefined) {
      owed -= length
      waitUntil = performance.now() + MID_LINE_GRACE_MS
      if (!sink.write(buffer.subarray(0, length))) await sink.room()
    } else if (sink.isMidLine() && performance.now() < waitUntil) {
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
