// What being seen costs: `falco_events` for each alert, and a scrape of many series.

import { setTimeout as delay } from 'node:timers/promises'
import { ours, type Running } from '../support/contender.ts'
import type { Suite } from '../support/suite.ts'
import { median } from '../support/table.ts'
import { trial } from '../support/trial.ts'
import { burstRow } from './burst.ts'
import { steadyRow } from './steady.ts'

const ALERTS = 300_000
const MODES = ['off', 'bounded', 'full']
const SECONDS = 20
const SCRAPE_EVERY_MS = 250

export async function events(suite: Suite): Promise<void> {
  const alerts = suite.alerts(ALERTS)
  for (const [rules, pods] of [
    [30, 20],
    [100, 100],
  ] as const) {
    const { path } = suite.file({ rules, pods })
    await suite.compare(
      `falco_events: ${alerts} alerts of ${rules * pods} kinds`,
      MODES.map((mode) => ours(`--falco-events ${mode}`, mode)),
      async (contender) => burstRow(await trial(contender, path, alerts)),
    )
  }
}

export async function scrape(suite: Suite): Promise<void> {
  const seconds = suite.quick ? 5 : SECONDS
  const { path } = suite.file({ rules: 100, pods: 20 })
  const all = ['scraped 4 times a second', 'not scraped'].map((name) => ours('', name))
  await suite.compare(`scrape: 2000 series, 1000 alerts/s for ${seconds} s`, all, async (one) => {
    const times: number[] = []
    const scraping = one === all[0] ? scrapeAgain(times) : undefined
    const row = steadyRow(await trial(one, path, 1_000 * seconds, 'rate:1000', scraping))
    // The first half, while series come, is left out.
    const late = times.slice(times.length >> 1)
    return late.length > 0
      ? { ...row, 'scrape ms': median(late), 'max scrape ms': Math.max(...late) }
      : row
  })
}

const scrapeAgain = (times: number[]) => async (running: Running, signal: AbortSignal) => {
  while (!signal.aborted) {
    const from = performance.now()
    const response = await fetch(`http://127.0.0.1:${running.port}/metrics`)
    await response.text()
    times.push(performance.now() - from)
    await delay(SCRAPE_EVERY_MS)
  }
}
