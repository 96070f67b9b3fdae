// Named pipes and standard input of the system.

import { closeSync, fstatSync, readSync } from 'node:fs'
import { Socket } from 'node:net'
import { FatalError } from '../../shared/errors.ts'
import { adopt, leftAdopted } from './adoption.ts'
import { ensureFifo, openFifo, openReader, whyGone } from './fifo.ts'
import { type Input, type Inputs, PIPE_BYTES_MAX, type Reader } from './input.ts'
import { setAside, whyNotAside } from './set-aside.ts'

export const systemInputs: Inputs = {
  makePipe: ensureFifo,
  adopt,
  leftAdopted,
  openPipe(path) {
    const fd = openFifo(path)
    return {
      ...polled(fd),
      obstacle: whyNotAside(path),
      whyGone: () => whyGone(path, fd),
      setAside: () => polled(setAside(path, fd)),
      reader: () => leavable(openReader(path, fd)),
    }
  },
  openStdin() {
    const stat = fstatSync(0)
    if (stat.isDirectory()) throw new FatalError('standard input is a directory')
    return stat.isFIFO() || stat.isSocket() ? polled(0) : undefined
  },
}

/** A pipe or socket, which the event loop can wait for. */
function polled(fd: number): Input {
  let socket: Socket | undefined
  let isClosed = false
  return {
    read: (buffer) => readNow(fd, buffer),
    flow: (buffer, onRead) =>
      new Promise((resolve, reject) => {
        const onread = { buffer, callback: onRead }
        socket = new Socket({ fd, readable: true, writable: false, onread })
        socket.on('error', reject).on('end', resolve)
      }),
    pause: () => void socket!.pause(),
    resume: () => void socket!.resume(),
    async close() {
      if (socket) {
        if (!socket.closed) await new Promise((resolve) => socket!.once('close', resolve).destroy())
      } else if (!isClosed) {
        isClosed = true
        closeSync(fd)
      }
    },
  }
}

/** How long a reader looks for a writer that leaves: where alerts are many, one comes by then. */
const LEAVE_MS = 5

function leavable(fd: number): Reader {
  const input = polled(fd)
  return {
    ...input,
    /**
     * A writer that comes between the last look and the close would write where no process reads, and SIGPIPE would end it.
     * Right behind one that has left none comes yet: so there is nothing but a read between the two.
     */
    leave(buffer, onRead) {
      const since = performance.now()
      const isLate = (ms: number) => performance.now() - since > ms
      let [used, owed, hadWriter, isClosed] = [0, PIPE_BYTES_MAX, false, false]
      while (!isClosed && owed > 0 && !isLate(2 * LEAVE_MS)) {
        if (used === buffer.length) {
          onRead(used)
          used = 0
        }
        const length = readNow(fd, buffer.subarray(used))
        if (length === 0 && (hadWriter || isLate(LEAVE_MS))) {
          input.close()
          isClosed = true
        }
        hadWriter = length !== 0
        used += length ?? 0
        owed -= length ?? 0
      }
      if (used > 0) onRead(used)
      return isClosed
    },
  }
}

/** How many bytes, 0 at the end, undefined where it is empty. */
function readNow(fd: number, buffer: Buffer): number | undefined {
  try {
    return readSync(fd, buffer)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EAGAIN') return undefined
    throw error
  }
}
