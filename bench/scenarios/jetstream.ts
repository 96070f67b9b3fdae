// Into a stream that keeps files, on one server and on three; what it holds in the end is read back.
// Peers take part that name `jetstream`: a publisher with acknowledgements and the same window.

import { setTimeout as delay } from 'node:timers/promises'
import { askJetStream, createStream, streamCount } from '../../test/support/nats.ts'
import { until } from '../../test/support/wait.ts'
import { type Contender, ours, run } from '../support/contender.ts'
import { subscribe, write } from '../support/native.ts'
import { cpuSeconds, memory, watchAnon } from '../support/process.ts'
import type { Suite } from '../support/suite.ts'
import { check, SETTLE_MS, startBench, trial } from '../support/trial.ts'
import { burstRow } from './burst.ts'

const ALERTS = 200_000
const CORE = ours('', 'core, no stream')
/** As often as the stream is asked how much it has. */
const ASK_MS = 50
const STALLED_MS = 15_000

export async function jetstream(suite: Suite, servers: number): Promise<void> {
  const alerts = suite.alerts(ALERTS)
  const { path } = suite.file()
  const all = [ours('--jetstream --stream ALERTS'), ...suite.peersOf('jetstream'), CORE]
  await suite.compare(
    `jetstream: ${alerts} alerts into files of ${servers} server${servers > 1 ? 's' : ''}`,
    all,
    async (contender) =>
      burstRow(
        contender === CORE
          ? await trial(contender, path, alerts)
          : await store(contender, path, alerts, servers),
      ),
  )
}

async function store(contender: Contender, file: string, count: number, servers: number) {
  await using bench = await startBench({ servers, config: 'jetstream { store_dir: js }' })
  // Until a cluster has chosen its leader, it does not answer.
  await until('the stream is there', () =>
    createStream(bench.url, { num_replicas: servers }).then(
      () => true,
      () => false,
    ),
  )
  await using running = await run(contender, bench.pipe, bench.url)
  await Promise.race([delay(SETTLE_MS), running.died])
  using watch = watchAnon(running.pid)
  const before = { cpu: cpuSeconds(running.pid), broker: bench.brokerCpuSeconds() }
  const [written, storedNs] = await Promise.race([
    Promise.all([write(bench.pipe, file, count, 'burst'), stored(bench.url, count)]),
    running.died,
  ])
  const figures = {
    alerts: count,
    seconds: (storedNs - written.startNs) / 1e9,
    cpuSeconds: cpuSeconds(running.pid) - before.cpu,
    brokerCpuSeconds: bench.brokerCpuSeconds() - before.broker,
    peakRss: memory(running.pid).peak,
    peakAnon: watch.peak(),
  }
  const reader = await subscribe(bench.port, 'bench.read', count)
  const config = { deliver_subject: 'bench.read', deliver_policy: 'all', ack_policy: 'none' }
  await askJetStream(bench.url, 'CONSUMER.CREATE.ALERTS', { stream_name: 'ALERTS', config })
  check(written, await reader.delivered)
  return figures
}

/** When the stream had all of them. */
async function stored(url: string, count: number): Promise<number> {
  let known = 0
  let since = performance.now()
  for (;;) {
    const has = await streamCount(url)
    if (has >= count) return Number(process.hrtime.bigint())
    if (has > known) since = performance.now()
    else if (performance.now() - since > STALLED_MS)
      throw new Error(`${count} alerts were written, ${has} stored`)
    known = has
    await delay(ASK_MS)
  }
}
