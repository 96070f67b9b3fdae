// subscriber.c for machines without a C compiler.

import { createConnection } from 'node:net'
import { stamped, sumOf, TAIL, text } from './alert.ts'

const [port, subject, counted, silence] = process.argv.slice(2) as [string, string, string, string]
const wanted = Number(counted)
const SETTLE_MS = 200
const SHARES = [0.5, 0.9, 0.99, 1]

let count = 0
let sum = 0n
let [firstNs, lastNs] = [0, 0]
let held: Buffer = Buffer.alloc(0)
const latencies: number[] = []

const server = createConnection(Number(port), '127.0.0.1')
server.write(`CONNECT {"verbose":false,"pedantic":false}\r\nSUB ${subject} 1\r\nPING\r\n`)
server.setTimeout(Number(silence) * 1000, report).on('end', report)
server.on('data', (chunk: Buffer) => {
  const at = Number(process.hrtime.bigint())
  held = held.length > 0 ? Buffer.concat([held, chunk]) : chunk
  held = held.subarray(parse(held, at))
})

/** Takes what is whole, and gives how many bytes that was. */
function parse(bytes: Buffer, at: number): number {
  let used = 0
  for (;;) {
    const end = bytes.indexOf('\r\n', used, 'latin1')
    if (end < 0) return used
    const line = bytes.toString('latin1', used, end)
    let next = end + 2
    if (line.startsWith('MSG ')) {
      const size = Number(line.slice(line.lastIndexOf(' ')))
      if (next + size + 2 > bytes.length) return used
      take(bytes, next, next + size, at)
      next += size + 2
    } else if (line === 'PING') server.write('PONG\r\n')
    else if (line === 'PONG') console.log('ready')
    used = next
  }
}

function take(bytes: Buffer, start: number, end: number, at: number): void {
  if (count === 0) firstNs = at
  if (count < wanted) {
    lastNs = at
    latencies.push(at - stamped(bytes, end - TAIL))
  }
  sum += sumOf(bytes, start, end)
  if (++count === wanted) server.setTimeout(SETTLE_MS)
}

function report(): void {
  server.destroy()
  const sorted = latencies.slice(latencies.length / 10).sort((a, b) => a - b)
  const at = (share: number) => sorted[Math.floor(share * (sorted.length - 1))]! / 1e3
  const said = { count, sum: text(sum), firstNs, lastNs, latencies: SHARES.map(at) }
  console.log(JSON.stringify(said))
}
