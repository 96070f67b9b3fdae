// A process that writes to a pipe as Falco does. Run as `node writer.ts PIPE FILE MODE`, where MODE
// is a number of bytes a write (0: the whole file at once) or `falco`: open, write, close for
// each line, `falco@N` so that N go in a second. `numbered:N` as FILE makes N small alerts up, `zeros` never ends.

import { closeSync, openSync, readFileSync, writeSync } from 'node:fs'
import { setTimeout as delay } from 'node:timers/promises'
import { pathToFileURL } from 'node:url'
import { linesOf, numberedAlert } from './fixtures.ts'

if (import.meta.url === pathToFileURL(process.argv[1]!).href) {
  const [, , pipe, file, mode] = process.argv as unknown as [string, string, string, string, string]
  const made = file.startsWith('numbered:') && numbered(Number(file.slice(9)))
  const input = made || (file === 'zeros' ? Buffer.alloc(0) : readFileSync(file))
  if (mode.startsWith('falco')) {
    const msPerLine = mode.includes('@') ? 1000 / Number(mode.slice(6)) : 0
    let due = performance.now()
    for (const line of linesOf(input)) {
      if (due > performance.now() + 1) await delay(due - performance.now())
      // What it had to wait for the reader is not made up for by a burst.
      due = Math.max(due, performance.now() - 20) + msPerLine
      const fd = openSync(pipe, 'a')
      try {
        writeAll(fd, Buffer.concat([line, Buffer.from('\n')]))
      } catch (error) {
        // The reader went between open and write: Falco loses this alert, and goes on.
        if ((error as NodeJS.ErrnoException).code !== 'EPIPE') throw error
      }
      closeSync(fd)
    }
  } else if (file === 'zeros') {
    const fd = openSync(pipe, 'a')
    const zeros = Buffer.alloc(Number(mode))
    for (;;) writeAll(fd, zeros)
  } else {
    const fd = openSync(pipe, 'a')
    const size = Number(mode) || input.length
    for (let at = 0; at < input.length; at += size) writeAll(fd, input.subarray(at, at + size))
    closeSync(fd)
  }
}

function writeAll(fd: number, bytes: Buffer): void {
  for (let at = 0; at < bytes.length; ) at += writeSync(fd, bytes, at)
}

/** N small alerts with numbers from 0, a line each. */
export function numbered(count: number): Buffer {
  return Buffer.from(Array.from({ length: count }, (_, n) => `${numberedAlert(n)}\n`).join(''))
}
