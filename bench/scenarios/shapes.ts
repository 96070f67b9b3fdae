// Unusual writes, and unusual alerts: a byte a write, a stream for each alert, and long ones.

import type { Suite } from '../support/suite.ts'
import { trial } from '../support/trial.ts'
import { burstRow } from './burst.ts'

/** Falco with keep_alive: true. */
export const bytes = (suite: Suite) => write(suite, 'bytes', 'one byte a write', 10_000)

/** Falco with keep_alive: false. */
export const reopen = (suite: Suite) => write(suite, 'reopen', 'open, write, close', 100_000)

async function write(suite: Suite, mode: 'bytes' | 'reopen', what: string, count: number) {
  const alerts = suite.alerts(count)
  const { path } = suite.file()
  await suite.compare(`${what}: ${alerts} alerts`, suite.contenders(mode), async (contender) =>
    burstRow(await trial(contender, path, alerts, mode)),
  )
}

const LARGE = [
  { kib: 16, alerts: 30_000, lines: 400 },
  { kib: 256, alerts: 2_000, lines: 40 },
]

export async function large(suite: Suite): Promise<void> {
  for (const { kib, alerts, lines } of LARGE) {
    const size = kib * 1024
    const { path } = suite.file({ bytes: [size, size], lines })
    const title = `large: ${suite.alerts(alerts)} alerts of ${kib} KiB`
    await suite.compare(title, suite.contenders('large'), async (contender) =>
      burstRow(await trial(contender, path, suite.alerts(alerts))),
    )
  }
}
