// Named pipes and standard input of the system.

import { closeSync, fstatSync, readSync } from 'node:fs'
import { Socket } from 'node:net'
import { FatalError } from '../../shared/errors.ts'
import { ensureFifo, openFifo, whyGone } from './fifo.ts'
import type { Input, Inputs } from './input.ts'
import { setAside, whyNotAside } from './set-aside.ts'

export const systemInputs: Inputs = {
  makePipe: ensureFifo,
  openPipe(path) {
    const fd = openFifo(path)
    return {
      ...polled(fd),
      obstacle: whyNotAside(path),
      whyGone: () => whyGone(path, fd),
      setAside: () => polled(setAside(path, fd)),
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
  return {
    read(buffer) {
      try {
        return readSync(fd, buffer)
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code === 'EAGAIN') return undefined
        throw error
      }
    },
    flow: (buffer, onRead) =>
      new Promise((resolve, reject) => {
        const onread = { buffer, callback: onRead }
        socket = new Socket({ fd, readable: true, writable: false, onread })
        socket.on('error', reject).on('end', resolve)
      }),
    pause: () => void socket!.pause(),
    resume: () => void socket!.resume(),
    async close() {
      if (!socket) closeSync(fd)
      else if (!socket.closed)
        await new Promise((resolve) => socket!.once('close', resolve).destroy())
    },
  }
}
