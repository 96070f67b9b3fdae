// `npm run bench`: how fast, and at what cost, the built program moves alerts from standard input
// to a real nats-server that nobody subscribes to. Prints a table; asserts nothing.

import { readFileSync, writeFileSync } from 'node:fs'
import { arch, cpus } from 'node:os'
import { startNats } from '../test/support/nats.ts'
import { tempDir } from '../test/support/temp.ts'
import { runToEnd } from './support/program.ts'

const ALERTS = 300_000
const RUNS = 3
const FIXTURE = readFileSync(new URL('../test/fixtures/alerts.jsonl', import.meta.url))

using dir = tempDir()
writeFileSync(dir.file('alerts'), Buffer.concat(Array(ALERTS / 300).fill(FIXTURE)))
await using server = await startNats()
console.log(`${cpus()[0]?.model}, ${cpus().length} cores, ${arch()}, Node ${process.version}`)
console.log(`${ALERTS} alerts of ${Math.round(FIXTURE.length / 300)} bytes, ${RUNS} runs\n`)
console.log('alerts/s   CPU s per million   peak RSS MiB')
for (let run = 0; run < RUNS; run++) {
  const { seconds, cpuSeconds, peakMiB } = await runToEnd(dir.file('alerts'), server.url)
  const perMillion = (cpuSeconds / ALERTS) * 1e6
  console.log(
    `${(ALERTS / seconds).toFixed(0).padStart(8)}   ${perMillion.toFixed(1).padStart(17)}   ${peakMiB.toFixed(0).padStart(12)}`,
  )
}
