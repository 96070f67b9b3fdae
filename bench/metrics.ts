// `npm run bench:metrics`: what falco_events costs for each alert, what a scrape of 2,000 series takes,
// and whether alerts wait for it. Prints tables; asserts nothing.

import { readFileSync, writeFileSync } from 'node:fs'
import { startNats } from '../test/support/nats.ts'
import { tempDir } from '../test/support/temp.ts'
import { latenciesAt1000, quantile, runToEnd } from './support/program.ts'

const ALERTS = 300_000
const RUNS = 5
const MODES = ['off', 'bounded', 'full']
const SERIES = 2_000
const SCRAPE_EVERY = 250
const FIXTURE = readFileSync(new URL('../test/fixtures/alerts.jsonl', import.meta.url))

const median = (values: number[]) =>
  quantile(
    values.sort((a, b) => a - b),
    0.5,
  )

{
  using dir = tempDir()
  writeFileSync(dir.file('alerts'), Buffer.concat(Array(ALERTS / 300).fill(FIXTURE)))
  await using server = await startNats()
  const runs = MODES.map((mode) => ({ mode, cpu: [] as number[], peak: [] as number[] }))
  for (let run = 0; run < RUNS; run++)
    for (const { mode, cpu, peak } of runs) {
      const args = ['--falco-events', mode]
      const { cpuSeconds, peakMiB } = await runToEnd(dir.file('alerts'), server.url, args)
      cpu.push((cpuSeconds / ALERTS) * 1e6)
      peak.push(peakMiB)
    }
  console.log('falco_events   CPU s per million   peak RSS MiB')
  for (const { mode, cpu, peak } of runs)
    console.log(
      `${mode.padEnd(12)}   ${median(cpu).toFixed(2).padStart(17)}   ${median(peak).toFixed(0).padStart(12)}`,
    )
}

const podOf = (n: number) => ({ output_fields: { 'k8s.pod.name': `pod-${n % SERIES}` } })
console.log(
  `\n1,000 alerts/s, ${SERIES} series          p50     p99     max ms   scrape p50     max ms`,
)
for (let run = 0; run < RUNS; run++)
  for (const scraping of [false, true]) {
    const scrapes: number[] = []
    const scrape = async (url: string, n: number) => {
      if (!scraping || n % SCRAPE_EVERY !== 0) return
      const from = performance.now()
      const text = await (await fetch(url)).text()
      if (n >= 2 * SERIES && text.includes(`pod-${SERIES - 1}`))
        scrapes.push(performance.now() - from)
    }
    const latencies = await latenciesAt1000(8_000, ['--max-series', '2100'], podOf, scrape)
    const figures = [quantile(latencies, 0.5), quantile(latencies, 0.99), latencies.at(-1)!]
    if (scraping) figures.push(median(scrapes), scrapes.at(-1)!)
    const cells = figures.map((value) => value.toFixed(2).padStart(9))
    console.log(
      `${(scraping ? 'scraped 4 times a second' : 'not scraped').padEnd(28)}${cells.join('')}`,
    )
  }
