// What it takes of the memory when no two alerts are of the same kind, and nothing can be found again.

import { writeFileSync } from 'node:fs'
import { setTimeout as delay } from 'node:timers/promises'
import { describe, expect, it } from 'vitest'
import { falcoNats, memoryKiB, stopped } from '../support/cli.ts'
import { startNats } from '../support/nats.ts'
import { writePipe } from '../support/pipe.ts'
import { SCRAPED, scrape } from '../support/scrape.ts'
import { tempDir } from '../support/temp.ts'
import { until } from '../support/wait.ts'

/** As people run it: the sources themselves need 30 MiB more, to be made JavaScript of. */
const BUNDLE = new URL('../../dist/falco-nats.js', import.meta.url).pathname
const ALERTS = 250_000
const TIMEOUT_MS = 120_000
const [CONFIRMING_MIB, OUTAGE_MIB] = [128, 160]

const ALERT = {
  hostname: 'node-7',
  output: 'A shell was spawned',
  output_fields: { 'k8s.ns.name': 'prod', 'k8s.pod.name': 'web' },
  priority: 'Notice',
  rule: 'Terminal shell in container',
  source: 'syscall',
  tags: ['container', 'shell'],
}
const digits = (n: number) => String(n).padStart(9, '0')

const FLOODS: [name: string, alert: (n: number) => object, args?: string[]][] = [
  ['rules', (n) => ({ priority: 'Notice', rule: `rule ${digits(n)}`, source: 'syscall' })],
  ['rules, each twice', (n) => ({ priority: 'Notice', rule: `rule ${digits(n >> 1)}` })],
  ['pods', (n) => ({ ...ALERT, output_fields: { 'k8s.pod.name': `web-7c9f6d5b8-${digits(n)}` } })],
  [
    'hostnames and sources, as headers',
    (n) => ({ ...ALERT, hostname: `node-${digits(n)}`, source: `source ${digits(n)}` }),
    ['--headers', 'on'],
  ],
]

const mebibytes = (pid: number) => memoryKiB(pid, 'VmHWM') / 1024

describe.each(FLOODS)('a flood of different %s', (_name, alert, args = []) => {
  function setUp(url: string) {
    const dir = tempDir()
    const lines = Array.from({ length: ALERTS }, (_, n) => `${JSON.stringify(alert(n))}\n`)
    writeFileSync(dir.file('alerts'), lines.join(''))
    const running = falcoNats(['-f', dir.file('nats'), '-s', url, ...args, ...SCRAPED], {
      program: [process.execPath, BUNDLE],
    })
    return {
      running,
      write: () => writePipe(dir.file('nats'), dir.file('alerts'), 65536),
      async [Symbol.asyncDispose]() {
        await running[Symbol.asyncDispose]()
        dir[Symbol.dispose]()
      },
    }
  }

  it(
    `takes less than ${CONFIRMING_MIB} MiB while the server confirms`,
    async () => {
      await using server = await startNats()
      await using flood = setUp(server.url)
      const { running } = flood
      await running.logged('connected')
      await using writing = await flood.write()
      expect(await writing.done()).toBe(0)
      const peak = mebibytes(running.child.pid!)
      expect((await stopped(running)).last).toMatchObject({ delivered: ALERTS, left: 0 })
      expect(peak).toBeLessThan(CONFIRMING_MIB)
    },
    TIMEOUT_MS,
  )

  it(
    `takes less than ${OUTAGE_MIB} MiB while there is none, and delivers all when it is back`,
    async () => {
      await using server = await startNats('', { started: false })
      await using flood = setUp(server.url)
      const { running } = flood
      await using writing = await flood.write()
      await until('the buffer is full', async () => {
        // A scrape costs memory as well.
        await delay(200)
        const samples = await scrape(running)
        const limit = samples.get('falco_nats_buffer_limit_bytes')!
        return samples.get('falco_nats_buffer_bytes')! > 0.97 * limit
      })
      expect(mebibytes(running.child.pid!)).toBeLessThan(OUTAGE_MIB)
      await server.start()
      expect(await writing.done()).toBe(0)
      const peak = mebibytes(running.child.pid!)
      expect((await stopped(running)).last).toMatchObject({ delivered: ALERTS, left: 0 })
      expect(peak).toBeLessThan(OUTAGE_MIB)
    },
    TIMEOUT_MS,
  )
})
