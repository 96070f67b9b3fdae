// An outage of NATS behind the real Falco, with reloads of its rules within it: what is raised is delivered or counted.
// OUTAGE_SECONDS=600 makes it as long as that.

import { afterEach, describe, expect, it } from 'vitest'
import { falcoNats, stopped } from '../support/cli.ts'
import { LOAD_RULE, prepareFalco, whyNoFalco } from '../support/falco.ts'
import { createStream, readStream, startNats, streamCount } from '../support/nats.ts'
import { SCRAPED, scrape, total } from '../support/scrape.ts'
import { tempDir } from '../support/temp.ts'
import { until } from '../support/wait.ts'

const SECONDS = Number(process.env.OUTAGE_SECONDS ?? 60)
const RATE = 200
const RELOADS = 3
const LONG_MS = (SECONDS + 240) * 1000

/** As our deployments set it. */
const DEPLOYED = ['--spool-bytes', '1GiB', '--when-full', 'drop']
const FALCO_SETTINGS = { outputs_queue: { capacity: 16384 } }

const rows: Record<string, unknown>[] = []
afterEach(() => console.table(rows))

const reason = whyNoFalco()
describe.skipIf(reason !== undefined)(
  `an outage of ${SECONDS} s with ${RELOADS} reloads (${reason ?? 'Falco is there'})`,
  () => {
    async function outage(name: string, options: string[]) {
      await using server = await startNats('jetstream {}')
      await createStream(server.url)
      await using falco = await prepareFalco(FALCO_SETTINGS)
      const args = ['-f', falco.pipe, '-s', server.url, '--jetstream', ...SCRAPED, ...options]
      await using forwarder = falcoNats(args)
      await forwarder.logged('connected')
      falco.start()
      await falco.ready()
      const load = falco.load(RATE, SECONDS)
      await until('some are delivered', async () => (await streamCount(server.url)) > RATE)
      await server.stop('SIGKILL')
      const begunAt = performance.now()
      const reloading = (async () => {
        for (let n = 1; n <= RELOADS; n++) {
          await until(
            'it is time to reload',
            () => performance.now() - begunAt > (SECONDS * 1000 * n) / (RELOADS + 1),
            LONG_MS,
          )
          falco.open('zh', String(n))
          const before = falco.openings()
          falco.reload(n % 2 ? 'signal' : 'change')
          if (name.includes('block')) continue
          await until('Falco has reloaded', () => falco.openings() > before)
        }
      })()
      const opened = await load.done()
      await reloading
      const paused = total(await scrape(forwarder), 'falco_nats_input_paused_seconds_total')
      const outageSeconds = (performance.now() - begunAt) / 1000
      await server.start()
      // Behind all others.
      await falco.ready().catch((error) => {
        throw new Error(
          `${error.message}\n${falco.log()}\nopenings ${falco.openings()} printed ${falco.printed().length} ${forwarder.stderr()}`,
        )
      })
      const last = await falco.probe()
      const { last: sums } = await (async () => {
        await until('all are printed', () => falco.printed().at(-1)!.equals(last))
        return await stopped(forwarder)
      })()
      const received = (await readStream(server.url)).map(({ data }) => data)
      const printed = falco.printed()
      const raised = falco.counted(LOAD_RULE) + (await falco.matched(LOAD_RULE))
      const inPrint = printed.filter((line) => line.includes(LOAD_RULE)).length
      const ofLoad = received.filter((line) => line.includes(LOAD_RULE)).length
      rows.push({
        name,
        opened,
        raised,
        printed: inPrint,
        delivered: ofLoad,
        sums: JSON.stringify(sums),
        outageSeconds: outageSeconds.toFixed(0),
        paused: paused.toFixed(2),
      })
      return { raised, printed, inPrint, received, sums, ofLoad }
    }

    it(
      'loses nothing with the settings of our deployments',
      async () => {
        using spool = tempDir()
        const { raised, printed, inPrint, received, sums } = await outage('deployed', [
          '--spool-dir',
          spool.path,
          ...DEPLOYED,
        ])
        expect(inPrint).toBe(raised)
        expect(received.map(String)).toEqual(printed.map(String))
        expect(sums).toMatchObject({ delivered: printed.length, left: 0 })
        expect(sums).not.toHaveProperty('dropped')
      },
      LONG_MS,
    )

    it(
      'counts what it drops when the buffer is small',
      async () => {
        const { raised, printed, inPrint, received, sums } = await outage('drop', [
          '--buffer-bytes',
          '1MiB',
          '--when-full',
          'drop',
        ])
        expect(inPrint).toBe(raised)
        const { debug = 0, ...others } = sums.dropped as Record<string, number>
        expect(others).toEqual({})
        expect(received.length + debug).toBe(printed.length)
      },
      LONG_MS,
    )

    it(
      'block: Falco throws its queue away',
      async () => {
        const { raised, inPrint } = await outage('block', [
          '--buffer-bytes',
          '1MiB',
          '--when-full',
          'block',
        ])
        expect(inPrint).toBeLessThan(raised)
      },
      LONG_MS,
    )
  },
)
