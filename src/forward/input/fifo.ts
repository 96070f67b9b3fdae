// A named pipe and its place in the file system: makes it, opens it and looks for it.

import { spawnSync } from 'node:child_process'
import {
  chmodSync,
  closeSync,
  constants,
  fstatSync,
  lstatSync,
  mkdirSync,
  openSync,
  statSync,
} from 'node:fs'
import { dirname } from 'node:path'
import { FatalError, messageOf } from '../../shared/errors.ts'

/** Root may lack DAC override, Falco may be another user than we are: others must write, not read. */
const FIFO_MODE = '0622'
/** Falco can reach the pipe in a directory that we make; others can neither list it nor replace the pipe. */
const DIRECTORY_MODE = 0o711

/** Makes a named pipe if nothing is at `path`; throws a FatalError. Does not open it: Falco would write into it. */
export const ensureFifo = (path: string): void =>
  opening(path, () => {
    if (fifoExists(path)) return
    makeDirectory(dirname(path))
    try {
      mkfifo(path)
    } catch (error) {
      // Another process may have made it meanwhile; then all is well.
      if (!fifoExists(path)) throw error
    }
  })

/** Opens the named pipe at `path`, which is made if nothing is there; throws a FatalError. */
export const openFifo = (path: string): number =>
  opening(path, () => {
    ensureFifo(path)
    // Read and write: Falco's open never blocks, and its close is no end of file (fifo(7)). No thread waits in a read.
    const fd = openSync(path, constants.O_RDWR | constants.O_NONBLOCK)
    if (fstatSync(fd).isFIFO()) return fd
    closeSync(fd)
    throw new FatalError(`${path} was replaced while it was being opened; start again`)
  })

/** Opens for reading alone the pipe that `fd` has open. Throws where it cannot be done. */
export function openReader(path: string, fd: number): number {
  const flags = constants.O_RDONLY | constants.O_NONBLOCK
  try {
    return openSync(`/proc/self/fd/${fd}`, flags)
  } catch {
    // Without /proc it may still be at its path.
    const reader = openSync(path, flags)
    if (fstatSync(reader).ino === fstatSync(fd).ino) return reader
    closeSync(reader)
    throw new Error('something else is at its path')
  }
}

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

/** Whether a named pipe, and not nothing, is at `path`. Throws a FatalError when something else is. */
export function fifoExists(path: string): boolean {
  const stat = statSync(path, { throwIfNoEntry: false })
  // A link is not adopted.
  if (stat?.isFile() && lstatSync(path).isFile())
    throw new FatalError(
      `${path} is a regular file, which Falco makes where no pipe is. --adopt-file forwards it and puts a pipe in its place; by hand: ` +
        `ln ${path} ${path}.old && mkfifo -m ${FIFO_MODE} ${path}.new && mv -f ${path}.new ${path}, start falco-nats, then falco-nats -f - --metrics-address off < ${path}.old`,
    )
  if (stat && !stat.isFIFO())
    throw new FatalError(
      `${path} is ${stat.isDirectory() ? 'a directory' : 'not a named pipe'}; ` +
        'falco-nats never removes what it did not make: stop Falco, move it away, and start falco-nats first',
    )
  return stat !== undefined
}

/** Why the pipe at `path` is no longer the one that is open, if so. */
export function whyGone(path: string, fd: number): string | undefined {
  try {
    const { dev, ino } = fstatSync(fd)
    const now = statSync(path, { throwIfNoEntry: false })
    if (now?.dev === dev && now.ino === ino) return undefined
    return now?.isFile() && lstatSync(path).isFile()
      ? 'was removed, and Falco has made a regular file there; start again with --adopt-file'
      : 'was removed or replaced; start again to make it anew'
  } catch (error) {
    return `can no longer be looked up: ${messageOf(error)}; start again to make it anew`
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
