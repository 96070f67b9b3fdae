// A process that writes to a pipe as Falco does. Run as `node writer.ts PIPE FILE MODE`, where MODE
// is a number of bytes a write (0: the whole file at once) or `falco`: open, write, close for
// each line. `numbered:N` as FILE makes N small alerts up, `zeros` never ends.

import { closeSync, openSync, readFileSync, writeSync } from 'node:fs'
import { pathToFileURL } from 'node:url'
import { linesOf, numberedAlert } from './fixtures.ts'

if (import.meta.url === pathToFileURL(process.argv[1]!).href) {
  const [, , pipe, file, mode] = process.argv as unknown as [string, string, string, string, string]
  const made = file.startsWith('numbered:') && numbered(Number(file.slice(9)))
  const input = made || (file === 'zeros' ? Buffer.alloc(0) : readFileSync(file))
  if (mode === 'falco') {
    for (const line of linesOf(input)) {
      const fd = openSync(pipe, 'a')
      writeAll(fd, Buffer.concat([line, Buffer.from('\n')]))
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
