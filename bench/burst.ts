// `npm run bench`: how fast, and at what cost, the built program moves alerts from standard input
// to a real nats-server that nobody subscribes to. Prints a table; asserts nothing.

import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { closeSync, openSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { arch, cpus, tmpdir } from 'node:os'
import { join } from 'node:path'
import { startNats } from '../test/support/nats.ts'

const ALERTS = 300_000
const RUNS = 3
/** Linux counts CPU time in hundredths of a second (proc(5), sysconf(_SC_CLK_TCK)). */
const TICKS_PER_SECOND = 100
const BUNDLE = new URL('../dist/falco-nats.js', import.meta.url).pathname
const FIXTURE = readFileSync(new URL('../test/fixtures/alerts.jsonl', import.meta.url))

const input = join(tmpdir(), `falco-nats-bench-${process.pid}.jsonl`)
try {
  writeFileSync(input, Buffer.concat(Array(ALERTS / 300).fill(FIXTURE)))
  await using server = await startNats()
  console.log(`${cpus()[0]?.model}, ${cpus().length} cores, ${arch()}, Node ${process.version}`)
  console.log(`${ALERTS} alerts of ${Math.round(FIXTURE.length / 300)} bytes, ${RUNS} runs\n`)
  console.log('alerts/s   CPU s per million   peak RSS MiB')
  for (let run = 0; run < RUNS; run++) {
    const { seconds, cpuSeconds, peakMiB } = await burst(server.url)
    const perMillion = (cpuSeconds / ALERTS) * 1e6
    console.log(
      `${(ALERTS / seconds).toFixed(0).padStart(8)}   ${perMillion.toFixed(1).padStart(17)}   ${peakMiB.toFixed(0).padStart(12)}`,
    )
  }
} finally {
  rmSync(input, { force: true })
}

async function burst(url: string) {
  const fd = openSync(input, 'r')
  const startedAt = performance.now()
  const args = [BUNDLE, '-f', '-', '-s', url, '--log-level', 'error']
  const child = spawn(process.execPath, args, { stdio: [fd, 'inherit', 'inherit'] })
  closeSync(fd)
  let cpuSeconds = 0
  let peakMiB = 0
  // The last look before the end misses at most this interval.
  const looking = setInterval(() => {
    try {
      const stat = readFileSync(`/proc/${child.pid}/stat`, 'utf8').split(') ')[1]!.split(' ')
      cpuSeconds = (Number(stat[11]) + Number(stat[12])) / TICKS_PER_SECOND || cpuSeconds
      const status = readFileSync(`/proc/${child.pid}/status`, 'utf8')
      peakMiB = Number(/VmHWM:\s+(\d+)/.exec(status)?.[1] ?? peakMiB * 1024) / 1024
    } catch {
      // It has ended.
    }
  }, 20)
  const [code] = await once(child, 'exit')
  clearInterval(looking)
  if (code !== 0) throw new Error(`falco-nats ended with ${code}`)
  return { seconds: (performance.now() - startedAt) / 1000, cpuSeconds, peakMiB }
}
