// What a running process serves on its metrics address, and whether its books balance there.

import { expect } from 'vitest'
import type { Running } from './cli.ts'
import { soon, until } from './wait.ts'

/** Serves on a free port, for `scrape` to find. */
export const SCRAPED = ['--metrics-address', '127.0.0.1:0']

/** Every sample by its name and labels as they stand there: `falco_events{rule="r",…}` → 3. */
export type Samples = ReadonlyMap<string, number>

export async function get(running: Running, path: string): Promise<Response> {
  const { address } = await running.logged('serving /metrics')
  return await fetch(`http://${address}${path}`, { signal: soon() })
}

export async function scrape(running: Running): Promise<Samples> {
  const response = await get(running, '/metrics')
  expect(response.status).toBe(200)
  return parseSamples(await response.text())
}

export function parseSamples(text: string): Samples {
  const lines = text.split('\n').filter((line) => line !== '' && !line.startsWith('#'))
  return new Map(
    lines.map((line) => {
      const at = line.lastIndexOf(' ')
      return [line.slice(0, at), Number(line.slice(at + 1))]
    }),
  )
}

/** The sum of all series of a metric. */
export function total(samples: Samples, name: string): number {
  let sum = 0
  for (const [series, value] of samples)
    if (series === name || series.startsWith(`${name}{`)) sum += value
  return sum
}

/** Waits until so many lines are read: what is still in the pipe at a stop is read, or not in time. */
export const haveRead = (running: Running, lines: number) =>
  until(
    `${lines} lines are read`,
    async () => total(await scrape(running), 'falco_nats_lines_read_total') >= lines,
  )

/** Every alert and line that was read is somewhere, exactly once. Gives the scrape. */
export async function expectBalanced(running: Running): Promise<Samples> {
  const samples = await scrape(running)
  const sum = (...names: string[]) =>
    names.reduce((sum, name) => sum + total(samples, `falco_nats_${name}`), 0)
  const ended = ['published', 'rejected', 'filtered', 'dropped'].map((end) => `alerts_${end}_total`)
  expect(sum(...ended, 'buffer_alerts', 'spool_alerts')).toBe(
    sum('lines_read_total', 'alerts_restored_total'),
  )
  return samples
}
