// The built program under a benchmark: run to its end on a file, or fed at a rate through its pipe.

import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { closeSync, constants, openSync, readFileSync, statSync, writeSync } from 'node:fs'
import { setImmediate as afterPoll } from 'node:timers/promises'
import { freePort, startNats, subscribe } from '../../test/support/nats.ts'
import { tempDir } from '../../test/support/temp.ts'
import { until } from '../../test/support/wait.ts'

export const BUNDLE = new URL('../../dist/falco-nats.js', import.meta.url).pathname
/** Linux counts CPU time in hundredths of a second (proc(5), sysconf(_SC_CLK_TCK)). */
const TICKS_PER_SECOND = 100

/** Reads `file` from standard input to its end: wall seconds, CPU seconds, peak RSS in MiB. */
export async function runToEnd(file: string, url: string, more: readonly string[] = []) {
  const fd = openSync(file, 'r')
  const port = await freePort()
  const startedAt = performance.now()
  const metrics = ['--metrics-address', `127.0.0.1:${port}`]
  const args = [BUNDLE, '-f', '-', '-s', url, '--log-level', 'error', ...metrics, ...more]
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

/**
 * Feeds `alerts` at 1,000 a second, and gives the milliseconds of each from the write into the pipe to
 * a subscriber, sorted; the first tenth is warming up. `alongside` may do something in the meantime.
 */
export async function latenciesAt1000(
  alerts: number,
  args: readonly string[],
  fieldsOf: (n: number) => object = () => ({}),
  alongside: (metricsUrl: string, n: number) => void = () => {},
): Promise<number[]> {
  using dir = tempDir()
  await using server = await startNats()
  const metrics = `127.0.0.1:${await freePort()}`
  const all = ['-f', dir.file('nats'), '-s', server.url, '--metrics-address', metrics, ...args]
  const child = spawn(process.execPath, [BUNDLE, ...all, '--log-level', 'error'], {
    stdio: 'inherit',
  })
  try {
    await until('the pipe is there', () => statSync(dir.file('nats'), { throwIfNoEntry: false }))
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
    for (let n = 0; n < alerts; n++) {
      const sentAt = performance.now()
      const alert = { filler: 'x'.repeat(900), priority: 'Notice', rule: 'r', sentAt }
      writeSync(pipe, `${JSON.stringify({ ...alert, ...fieldsOf(n) })}\n`)
      alongside(`http://${metrics}/metrics`, n)
      // The loop turns until the next is due, so that what arrives is seen at once.
      while (performance.now() < startedAt + n + 1) {
        await afterPoll()
        look()
      }
    }
    await subscriber.count(alerts)
    look()
    closeSync(pipe)
    return latencies.slice(alerts / 10).sort((a, b) => a - b)
  } finally {
    child.kill('SIGTERM')
    await once(child, 'exit')
  }
}

/** The value below which this share lies, in a sorted list. */
export const quantile = (sorted: readonly number[], share: number): number =>
  sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))] ?? Number.NaN
