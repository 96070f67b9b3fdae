// `npm run bench:latency`: from a write into the pipe to a subscriber, at 1,000 alerts a second, with
// and without a spool, in turns. Prints a table; asserts nothing.

import { tempDir } from '../test/support/temp.ts'
import { latenciesAt1000, quantile } from './support/program.ts'

const ALERTS = 5_000
const RUNS = 3

console.log(`${ALERTS} alerts at 1,000/s, microseconds\n`)
console.log('                p50     p90     p99')
for (let run = 0; run < RUNS; run++)
  for (const spooling of [false, true]) {
    using dir = tempDir()
    const latencies = await latenciesAt1000(ALERTS, spooling ? ['--spool-dir', dir.path] : [])
    const at = (share: number) => (quantile(latencies, share) * 1000).toFixed(0).padStart(8)
    console.log(`${spooling ? 'with spool  ' : 'without     '}${at(0.5)}${at(0.9)}${at(0.99)}`)
  }
