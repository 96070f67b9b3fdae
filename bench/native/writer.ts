// writer.c for machines without a C compiler; slower, so what it feeds may be faster than it says.

import { closeSync, openSync, readFileSync, writeSync } from 'node:fs'
import { linesOf } from '../../test/support/fixtures.ts'
import { stamp, sumOf, TAIL, text } from './alert.ts'

const CHUNK = 64 * 1024
const [path, file, counted, mode] = process.argv.slice(2) as [string, string, string, string]
const count = Number(counted)
const lines = linesOf(readFileSync(file)).map((line) => Buffer.from(`${line}\n`))
const now = () => Number(process.hrtime.bigint())
const [how, rate] = mode.split(':')
const pauseNs = rate === undefined ? 0 : 1e9 / Number(rate)
const sleeper = new Int32Array(new SharedArrayBuffer(4))

const chunk = Buffer.alloc(CHUNK)
let filled = 0
let pipe = openSync(path, 'a')

function writeAll(bytes: Buffer): void {
  for (let at = 0; at < bytes.length; ) at += writeSync(pipe, bytes, at)
}

function burst(line: Buffer): void {
  for (let at = 0; at < line.length; ) {
    const part = line.copy(chunk, filled, at)
    at += part
    filled += part
    if (filled < CHUNK) continue
    writeAll(chunk)
    filled = 0
  }
}

function bytes(line: Buffer): void {
  for (let at = 0; at < line.length; at++) writeSync(pipe, line, at, 1)
}

function reopen(line: Buffer): void {
  closeSync(pipe)
  pipe = openSync(path, 'a')
  writeAll(line)
}

/** Sleeps for whole milliseconds, then turns. */
function waitUntil(due: number): void {
  const ms = Math.floor((due - now()) / 1e6)
  if (ms > 1) Atomics.wait(sleeper, 0, 0, ms - 1)
  while (now() < due);
}

const put = { rate: writeAll, bytes, reopen }[how!] ?? burst
const startNs = now()
let sum = 0n
for (let n = 0; n < count; n++) {
  const line = lines[n % lines.length]!
  if (pauseNs > 0) waitUntil(startNs + n * pauseNs)
  stamp(line, line.length - 1 - TAIL)
  sum += sumOf(line, 0, line.length - 1)
  put(line)
}
writeAll(chunk.subarray(0, filled))
console.log(JSON.stringify({ count, sum: text(sum), startNs, endNs: now() }))
