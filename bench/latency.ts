// `npm run bench:latency`: from a write into the pipe to a subscriber, at 1,000 alerts a second, with
// and without a spool, in turns. Prints a table; asserts nothing.

import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { constants, existsSync, openSync, writeSync } from 'node:fs'
import { setImmediate as afterPoll } from 'node:timers/promises'
import { startNats, subscribe } from '../test/support/nats.ts'
import { tempDir } from '../test/support/temp.ts'
import { until } from '../test/support/wait.ts'

const ALERTS = 5_000
const RUNS = 3
const BUNDLE = new URL('../dist/falco-nats.js', import.meta.url).pathname

console.log(`${ALERTS} alerts at 1,000/s, microseconds\n`)
console.log('                p50     p90     p99')
for (let run = 0; run < RUNS; run++)
  for (const spooling of [false, true]) {
    const latencies = (await measure(spooling)).sort((a, b) => a - b)
    const at = (share: number) =>
      ((latencies[Math.floor(share * latencies.length)] ?? 0) * 1000).toFixed(0).padStart(8)
    console.log(`${spooling ? 'with spool  ' : 'without     '}${at(0.5)}${at(0.9)}${at(0.99)}`)
  }

async function measure(spooling: boolean): Promise<number[]> {
  using dir = tempDir()
  await using server = await startNats()
  const args = [BUNDLE, '-f', dir.file('nats'), '-s', server.url, '--log-level', 'error']
  if (spooling) args.push('--spool-dir', dir.file('spool'))
  const child = spawn(process.execPath, args, { stdio: 'inherit' })
  try {
    await until('the pipe is there', () => existsSync(dir.file('nats')))
    const pipe = openSync(dir.file('nats'), constants.O_WRONLY)
    await using subscriber = await subscribe(server.url)
    const latencies: number[] = []
    let seen = 0
    const look = () => {
      for (; seen < subscriber.messages.length; seen++) {
        const { sentAt } = JSON.parse(subscriber.messages[seen]!.data.toString())
        latencies.push(performance.now() - sentAt)
      }
    }
    const startedAt = performance.now()
    for (let n = 0; n < ALERTS; n++) {
      const alert = {
        filler: 'x'.repeat(900),
        priority: 'Notice',
        rule: 'r',
        sentAt: performance.now(),
      }
      writeSync(pipe, `${JSON.stringify(alert)}\n`)
      // The loop turns until the next is due, so that what arrives is seen at once.
      while (performance.now() < startedAt + n + 1) {
        await afterPoll()
        look()
      }
    }
    await subscriber.count(ALERTS)
    look()
    return latencies.slice(ALERTS / 10)
  } finally {
    child.kill('SIGTERM')
    await once(child, 'exit')
  }
}
