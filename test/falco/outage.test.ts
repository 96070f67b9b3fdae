// An outage of NATS behind the real Falco, with reloads of its rules within it: what Falco raises is delivered, or in
// the sums. OUTAGE_SECONDS=600 makes it ten minutes.

import { afterAll, describe, expect, it } from 'vitest'
import { falcoNats, stopped } from '../support/cli.ts'
import { type Falco, LOAD_RULE, prepareFalco, whyNoFalco } from '../support/falco.ts'
import {
  createStream,
  type NatsServer,
  readStream,
  startNats,
  streamCount,
} from '../support/nats.ts'
import { SCRAPED, scrape, total } from '../support/scrape.ts'
import { tempDir } from '../support/temp.ts'
import { until } from '../support/wait.ts'

const SECONDS = Number(process.env.OUTAGE_SECONDS ?? 60)
const RATE = 200
const RELOADS = 3
const LONG_MS = (SECONDS + 240) * 1000

/** As our deployments set them. */
const DEPLOYED = ['--spool-bytes', '1GiB', '--when-full', 'drop']
const FALCO_SETTINGS = { outputs_queue: { capacity: 16384 } }
const SMALL_BUFFER = ['--buffer-bytes', '1MiB']

const rows: Record<string, unknown>[] = []
afterAll(() => console.table(rows))

/** Falco in front of falco-nats and a stream, with a load that has begun to arrive when NATS ends. */
async function start(options: readonly string[], seconds: number) {
  await using parts = new AsyncDisposableStack()
  const store = parts.use(tempDir())
  const server = parts.use(await startNats(`jetstream: { store_dir: ${store.path} }`))
  await createStream(server.url)
  const falco = parts.use(await prepareFalco(FALCO_SETTINGS))
  const args = ['-f', falco.pipe, '-s', server.url, '--jetstream', ...SCRAPED, ...options]
  const forwarder = parts.use(falcoNats(args))
  await forwarder.logged('connected')
  falco.start()
  await falco.ready()
  const load = falco.load(RATE, seconds)
  await until('some are delivered', async () => (await streamCount(server.url)) > RATE)
  await server.stop()
  const moved = parts.move()
  return { server, falco, forwarder, load, [Symbol.asyncDispose]: () => moved.disposeAsync() }
}

async function reloadWithin(falco: Falco): Promise<void> {
  const begunAt = performance.now()
  for (let n = 1; n <= RELOADS; n++) {
    const at = begunAt + (SECONDS * 1000 * n) / (RELOADS + 1)
    await until('it is time to reload', () => performance.now() > at, LONG_MS)
    const before = falco.openings()
    falco.reload(n % 2 ? 'signal' : 'change')
    await until('Falco has reloaded', () => falco.openings() > before)
  }
}

const ofLoad = (lines: readonly Buffer[]) =>
  lines.filter((line) => line.includes(`"rule":"${LOAD_RULE}"`)).length

/** The whole outage: what was raised, printed, delivered and counted. */
async function outage(name: string, options: readonly string[]) {
  await using parts = await start(options, SECONDS)
  const { server, falco, forwarder, load } = parts
  const [opened] = await Promise.all([load.done(), reloadWithin(falco)])
  const pausedSeconds = total(await scrape(forwarder), 'falco_nats_input_paused_seconds_total')
  await server.start()
  // Behind all others.
  const end = await falco.probe()
  const { last } = await stopped(forwarder)
  const raised = await falco.raised(LOAD_RULE)
  const printed = [...falco.printed()]
  const delivered = await deliveredTo(server)
  const dropped = (last.dropped ?? {}) as Record<string, number>
  rows.push({ name, opened, raised, delivered: ofLoad(delivered), ...dropped, pausedSeconds })
  expect(printed.at(-1)).toEqual(end)
  expect(ofLoad(printed)).toBe(raised)
  expect(last).toMatchObject({ read: printed.length, left: 0, rejected: 0 })
  return { printed, delivered, dropped }
}

const deliveredTo = async ({ url }: NatsServer) => (await readStream(url)).map(({ data }) => data)

const reason = whyNoFalco()
if (reason !== undefined) console.warn(`skipped: ${reason}`)

describe.skipIf(reason !== undefined)(
  `NATS is away for ${SECONDS} s, with ${RELOADS} reloads`,
  () => {
    it(
      'loses nothing with the settings of our deployments',
      async () => {
        using spool = tempDir()
        const options = ['--spool-dir', spool.path, ...DEPLOYED]
        const { printed, delivered, dropped } = await outage('our deployments', options)
        expect(Buffer.concat(delivered).equals(Buffer.concat(printed))).toBe(true)
        expect(dropped).toEqual({})
      },
      LONG_MS,
    )

    it(
      'counts each alert that it drops',
      async () => {
        const options = [...SMALL_BUFFER, '--when-full', 'drop-below-critical']
        const { printed, delivered, dropped } = await outage('small, drop-below-critical', options)
        expect(dropped).toEqual({ debug: expect.any(Number) })
        expect(delivered.length + dropped.debug!).toBe(printed.length)
      },
      LONG_MS,
    )
  },
)
