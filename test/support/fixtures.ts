import { readFileSync } from 'node:fs'

/** The bytes of a file in test/fixtures. */
export const fixture = (name: string): Buffer =>
  readFileSync(new URL(`../fixtures/${name}`, import.meta.url))

/** The path of a file in test/fixtures. */
export const fixturePath = (name: string): string =>
  new URL(`../fixtures/${name}`, import.meta.url).pathname

/** Splits on 0x0A; the newline belongs to no line. */
export function linesOf(bytes: Buffer): Buffer[] {
  const lines: Buffer[] = []
  for (let start = 0; start < bytes.length; ) {
    const newline = bytes.indexOf(10, start)
    const end = newline < 0 ? bytes.length : newline
    lines.push(bytes.subarray(start, end))
    start = end + 1
  }
  return lines
}

/** 300 real-shaped alerts, one a line. */
export const alertLines = (): Buffer[] => linesOf(fixture('alerts.jsonl'))

/** What Falco 0.44.1 itself wrote, one alert a line: its two forms of times, and booleans. */
export const realAlertLines = (): Buffer[] => linesOf(fixture('real-alerts.jsonl'))

/** A small alert with a number in it, for counting. */
export const numberedAlert = (n: number, rule = 'Terminal shell in container'): string =>
  JSON.stringify({
    output_fields: { n, 'evt.time': 1 },
    priority: 'Notice',
    rule,
    source: 'syscall',
  })
