// One contender, one fresh server, one writer, one subscriber: from a pipe to a checked delivery.

import { execFileSync } from 'node:child_process'
import { closeSync, constants, openSync } from 'node:fs'
import { setTimeout as delay } from 'node:timers/promises'
import { startCluster, startNats } from '../../test/support/nats.ts'
import { type TempDir, tempDir } from '../../test/support/temp.ts'
import { type Contender, type Running, run } from './contender.ts'
import { type Delivered, type Mode, subscribe, type Written, write } from './native.ts'
import { children, cpuSeconds, memory, nameOf, watchAnon } from './process.ts'

export interface Trial {
  readonly alerts: number
  /** From the first write to the last delivery. */
  readonly seconds: number
  readonly cpuSeconds: number
  readonly brokerCpuSeconds: number
  readonly rss: number
  readonly anon: number
  readonly peakRss: number
  readonly peakAnon: number
  readonly latencies: Delivered['latencies']
}

/** Time to load, connect and be quiet again. */
export const SETTLE_MS = 1_000

/**
 * Has `contender` move `count` alerts of `file`. `alongside` may do something in the meantime, until its
 * signal is aborted.
 */
export async function trial(
  contender: Contender,
  file: string,
  count: number,
  mode: Mode = 'burst',
  alongside: (running: Running, signal: AbortSignal) => Promise<void> = async () => {},
): Promise<Trial> {
  await using bench = await startBench()
  await using running = await run(contender, bench.pipe, bench.url)
  await Promise.race([delay(SETTLE_MS), running.died])
  const end = new AbortController()
  const beside = alongside(running, end.signal)
  // Heard of below, when it has failed.
  beside.catch(() => {})
  try {
    return await bench.move(running, file, count, mode)
  } finally {
    end.abort()
    await beside
    await running.stop()
  }
}

export interface Bench extends AsyncDisposable {
  readonly pipe: string
  readonly url: string
  readonly dir: TempDir
  readonly port: number
  /** Of all servers. */
  brokerCpuSeconds(): number
  /** Moves alerts through a program that is running, and checks that they were delivered. */
  move(running: Running, file: string, count: number, mode?: Mode): Promise<Trial>
}

/** A pipe and a server, or several that know each other, with more lines of configuration. */
export async function startBench({ servers = 1, config = '' } = {}): Promise<Bench> {
  await using stack = new AsyncDisposableStack()
  const dir = stack.use(tempDir())
  const server =
    servers === 1
      ? stack.use(await startNats(config))
      : stack.use(await startCluster(servers, config)).nodes[0]!
  const pipe = dir.file('pipe')
  stack.use(makePipe(pipe))
  const brokers = children().filter((pid) => nameOf(pid) === 'nats-server')
  const brokerCpuSeconds = () => brokers.reduce((sum, pid) => sum + cpuSeconds(pid), 0)
  const owned = stack.move()
  return {
    pipe,
    url: server.url,
    dir,
    port: server.port,
    brokerCpuSeconds,
    async move(running, file, count, mode = 'burst') {
      const subscriber = await subscribe(server.port, 'falco.>', count)
      using watch = watchAnon(running.pid)
      const before = { cpu: cpuSeconds(running.pid), broker: brokerCpuSeconds() }
      const writing = new AbortController()
      try {
        const work = Promise.all([
          write(pipe, file, count, mode, writing.signal),
          subscriber.delivered,
        ])
        work.catch(() => {})
        const [written, delivered] = await Promise.race([work, running.died])
        check(written, delivered)
        const { rss, peak, anon } = memory(running.pid)
        return {
          alerts: count,
          seconds: (delivered.lastNs - written.startNs) / 1e9,
          cpuSeconds: cpuSeconds(running.pid) - before.cpu,
          brokerCpuSeconds: brokerCpuSeconds() - before.broker,
          rss,
          anon,
          peakRss: peak,
          peakAnon: watch.peak(),
          latencies: delivered.latencies,
        }
      } finally {
        writing.abort()
        subscriber.kill()
      }
    },
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  }
}

/** Held open at both ends, so that a program that reads to the end of file has none between writers. */
export function makePipe(path: string): Disposable {
  execFileSync('mkfifo', [path])
  const fd = openSync(path, constants.O_RDWR | constants.O_NONBLOCK)
  return { [Symbol.dispose]: () => closeSync(fd) }
}

/** Throws when alerts were lost, changed, or came twice though nothing broke. */
export function check(written: Written, delivered: Pick<Delivered, 'count' | 'sum'>): void {
  if (written.count !== delivered.count)
    throw new Error(`${written.count} alerts were written, ${delivered.count} delivered`)
  if (written.sum !== delivered.sum) throw new Error('the checksums differ')
}
