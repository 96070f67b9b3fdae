// A named pipe and its place in the file system: makes, opens and watches it.

import { spawnSync } from 'node:child_process'
import { chmodSync, closeSync, constants, fstatSync, mkdirSync, openSync, statSync } from 'node:fs'
import { dirname } from 'node:path'
import { FatalError, messageOf } from '../../shared/errors.ts'

/** Root may lack DAC override, Falco may be another user than we are: others must write, not read. */
const FIFO_MODE = '0622'
/** Falco gets to the pipe in a directory that we make; others can neither list it nor put something in its place. */
const DIRECTORY_MODE = 0o711
/** How much a pipe can hold (Linux: fs.pipe-max-size); 64 KiB unless it was asked for more. */
export const PIPE_BYTES_MAX = 1024 * 1024
/** How often to see whether the pipe is still where Falco will open it. */
const WATCH_INTERVAL_MS = 5_000

/**
 * Makes a named pipe at `path` if nothing is there, without opening it: a Falco that has it open would write into it.
 * Throws a FatalError with what to do when something else is there.
 */
export const ensureFifo = (path: string): void =>
  opening(path, () => {
    if (!fifoExists(path)) makeFifo(path)
  })

/** Opens the named pipe at `path`, which is made if nothing is there; throws as `ensureFifo` does. */
export const openFifo = (path: string): number =>
  opening(path, () => {
    ensureFifo(path)
    // Read and write, so that Falco's open never blocks while we live and its closing is no
    // end of file (fifo(7)); non-blocking, so that no thread is stuck in a read.
    const fd = openSync(path, constants.O_RDWR | constants.O_NONBLOCK)
    if (fstatSync(fd).isFIFO()) return fd
    closeSync(fd)
    throw new FatalError(`${path} was replaced while it was being opened; start again`)
  })

function opening<T>(path: string, step: () => T): T {
  try {
    return step()
  } catch (error) {
    if (error instanceof FatalError) throw error
    throw new FatalError(
      `cannot open the pipe ${path}: ${messageOf(error)}; falco-nats must be able to read and write it`,
    )
  }
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

/**
 * Aborts `gone` when something else, or nothing, is at `path`, or when the path can no longer be looked up: Falco
 * would write where no process reads. A restart makes the pipe anew, or fails with what is in its place.
 */
export function watchFifo(path: string, fd: number): Disposable & { readonly gone: AbortSignal } {
  const replaced = new AbortController()
  const { dev, ino } = fstatSync(fd)
  const gone = (how: string) =>
    replaced.abort(new FatalError(`the pipe ${path} ${how}; start again to make it anew`))
  const timer = setInterval(() => {
    try {
      const now = statSync(path, { throwIfNoEntry: false })
      if (now?.dev !== dev || now.ino !== ino) gone('was removed or replaced')
    } catch (error) {
      gone(`can no longer be looked up: ${messageOf(error)}`)
    }
  }, WATCH_INTERVAL_MS).unref()
  return { gone: replaced.signal, [Symbol.dispose]: () => clearInterval(timer) }
}

function makeFifo(path: string): void {
  makeDirectory(dirname(path))
  try {
    mkfifo(path)
  } catch (error) {
    // Another process may have made it meanwhile; then all is well.
    if (!fifoExists(path)) throw error
  }
}

export function mkfifo(path: string): void {
  // Node has no mkfifo(3). No shell is involved; `--` ends the options.
  const made = spawnSync('mkfifo', ['-m', FIFO_MODE, '--', path], { encoding: 'utf8' })
  if (made.status !== 0) throw made.error ?? new Error(made.stderr.trim())
}

/** Not mkdir's own recursion: that never ends where nothing can be made, such as in /proc. */
function makeDirectory(path: string): void {
  if (statSync(path, { throwIfNoEntry: false })) return
  makeDirectory(dirname(path))
  try {
    mkdirSync(path, DIRECTORY_MODE)
    // Whatever our umask has taken of it.
    chmodSync(path, DIRECTORY_MODE)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error
  }
}
