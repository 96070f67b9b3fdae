// Falco and an attacker, at one pipe: numbered alerts, open, write, close for each, and hostile lines
// between them. Run as `node soak-writer.ts PIPE SEED RATE`, with a channel for messages; SIGTERM ends it
// behind the alert that it is at, and it reports how many it wrote.

import { closeSync, constants, openSync, writeSync } from 'node:fs'
import { setTimeout as delay } from 'node:timers/promises'
import { numberedAlert } from './fixtures.ts'
import { hostileLines } from './hostile-lines.ts'

const [, , pipe, seed, rate] = process.argv as [string, string, string, string, string]
const hostile = hostileLines(Number(seed))
const EACH_MS = 20
/** Hostile lines for each hundred alerts. */
const HOSTILE = 15

let stopping = false
process.on('SIGTERM', () => {
  stopping = true
})

const codeOf = (error: unknown) => (error as NodeJS.ErrnoException).code ?? ''

/** Undefined when nobody reads, or nothing is there: unlike Falco it never makes a file. */
function open(): number | undefined {
  try {
    // Falco would block in open or write: we wait, so that a signal is heard.
    return openSync(pipe, constants.O_WRONLY | constants.O_NONBLOCK)
  } catch (error) {
    if (['ENXIO', 'ENOENT'].includes(codeOf(error))) return undefined
    throw error
  }
}

/** Whether all of it is in the pipe. What fits into the pipe's buffer at once goes whole or not at all. */
async function write(line: Buffer): Promise<boolean> {
  const fd = open()
  if (fd === undefined) return false
  try {
    for (let at = 0; at < line.length; )
      try {
        at += writeSync(fd, line, at)
      } catch (error) {
        if (codeOf(error) === 'EPIPE') return false
        if (codeOf(error) !== 'EAGAIN') throw error
        await delay(5)
      }
    return true
  } finally {
    closeSync(fd)
  }
}

let written = 0
let attacks = 0
for (let due = 0; !stopping; await delay(EACH_MS))
  for (due += (Number(rate) * EACH_MS) / 1000; due >= 1 && !stopping; due--) {
    if ((written * HOSTILE) % 100 < HOSTILE && (await write(hostile()))) attacks++
    const alert = Buffer.from(`${numberedAlert(written)}\n`)
    while (!(await write(alert))) await delay(5)
    written++
  }
process.send!({ written, attacks }, () => process.exit(0))
