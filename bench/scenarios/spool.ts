// With a spool: what it costs while all is well, what an outage holds, how fast it fills and drains.

import { existsSync, readdirSync, statSync } from 'node:fs'
import { setTimeout as delay } from 'node:timers/promises'
import { tempDir } from '../../test/support/temp.ts'
import { ours, run } from '../support/contender.ts'
import { subscribe, write } from '../support/native.ts'
import { memory } from '../support/process.ts'
import type { Suite } from '../support/suite.ts'
import type { Row } from '../support/table.ts'
import { check, makePipe, startBench, trial } from '../support/trial.ts'
import { steadyRow } from './steady.ts'

const NOWHERE = 'nats://127.0.0.1:1'
const FLOOD_SECONDS = 10
const FLOOD_ALERTS = 1_000_000
const ALERTS = 200_000
const STEADY_SECONDS = 10

export async function spool(suite: Suite): Promise<void> {
  await whileAllIsWell(suite)
  await suite.compare(
    `outage: ${FLOOD_SECONDS} s at full speed without a server`,
    ['', '--spool-bytes 64MiB', '--spool-bytes 64MiB --when-full drop'].map((options) => ({
      name: options || 'no spool',
      options,
    })),
    ({ options }) => flood(suite.file().path, options),
    { ratios: false },
  )
  await suite.compare('spool', [{ name: `${suite.alerts(ALERTS)} alerts` }], () =>
    fillAndDrain(suite.file().path, suite.alerts(ALERTS)),
  )
}

async function whileAllIsWell(suite: Suite): Promise<void> {
  const seconds = suite.quick ? 5 : STEADY_SECONDS
  using dir = tempDir()
  const all = [ours(`--spool-dir ${dir.path}`, 'with a spool'), ours('', 'without')]
  await suite.compare(
    `steady with a spool: 1000 alerts/s for ${seconds} s`,
    all,
    async (contender) =>
      steadyRow(await trial(contender, suite.file().path, 1_000 * seconds, 'rate:1000')),
  )
}

async function flood(file: string, options: string): Promise<Row> {
  using dir = tempDir()
  using _pipe = makePipe(dir.file('pipe'))
  const spooling = options && `--spool-dir ${dir.file('spool')} ${options}`
  await using running = await run(ours(spooling), dir.file('pipe'), NOWHERE)
  const writing = new AbortController()
  write(dir.file('pipe'), file, FLOOD_ALERTS, 'burst', writing.signal).catch(() => {})
  await Promise.race([delay(FLOOD_SECONDS * 1000), running.died])
  const { rss, anon } = memory(running.pid)
  writing.abort()
  return { 'RSS MiB': rss, 'anon MiB': anon, 'spool MiB': mebibytes(dir.file('spool')) }
}

/** Filled without a server; drained by the next process, before a subscriber that was there first. */
async function fillAndDrain(file: string, count: number): Promise<Row> {
  await using bench = await startBench()
  using dir = tempDir()
  using _pipe = makePipe(dir.file('pipe'))
  const contender = ours(
    `--spool-dir ${dir.file('spool')} --spool-bytes 1024MiB --drain-timeout 1s`,
  )
  await using filling = await run(contender, dir.file('pipe'), NOWHERE)
  const written = await Promise.race([write(dir.file('pipe'), file, count, 'burst'), filling.died])
  await filling.stop()
  const size = mebibytes(dir.file('spool'))
  const subscriber = await subscribe(bench.port, 'falco.>', count)
  await using _draining = await run(contender, bench.pipe, bench.url)
  const delivered = await subscriber.delivered
  check(written, delivered)
  return {
    'filled/s': Math.round((count / (written.endNs - written.startNs)) * 1e9),
    'drained/s': Math.round((count / (delivered.lastNs - delivered.firstNs)) * 1e9),
    'spool MiB': size,
  }
}

const mebibytes = (directory: string): number =>
  (existsSync(directory) ? readdirSync(directory) : []).reduce(
    (sum, file) => sum + statSync(`${directory}/${file}`).size / 1024 ** 2,
    0,
  )
