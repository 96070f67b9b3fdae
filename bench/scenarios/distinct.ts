// Alerts of which no two are of one kind, so that nothing can be found again: what it costs, and what it takes of the memory.

import { setTimeout as delay } from 'node:timers/promises'
import { tempDir } from '../../test/support/temp.ts'
import type { AlertShape } from '../support/alerts.ts'
import { ours, run } from '../support/contender.ts'
import { write } from '../support/native.ts'
import { memory } from '../support/process.ts'
import type { Suite } from '../support/suite.ts'
import { makePipe, trial } from '../support/trial.ts'
import { burstRow } from './burst.ts'

const ALERTS = 1_000_000
const KINDS = 200_000
const SHAPES: readonly (AlertShape & { readonly name: string })[] = [
  { name: 'rules', rules: KINDS, pods: 1 },
  { name: 'pods', rules: 30, pods: 1e9 },
]
const NOWHERE = 'nats://127.0.0.1:1'
const OUTAGE_MS = 10_000

export async function distinct(suite: Suite): Promise<void> {
  const alerts = suite.alerts(ALERTS)
  const all = SHAPES.map(({ name, ...shape }) => {
    const { path } = suite.file({ ...shape, bytes: [250, 350], lines: KINDS })
    return { name, path }
  })
  await suite.compare(
    `distinct: ${alerts} alerts, all different`,
    all,
    async ({ path }) => burstRow(await trial(ours(), path, alerts)),
    { ratios: false },
  )
  await suite.compare(
    `distinct: the same for ${OUTAGE_MS / 1000} s without a server`,
    all,
    async ({ path }) => {
      using dir = tempDir()
      using _pipe = makePipe(dir.file('pipe'))
      await using running = await run(ours(), dir.file('pipe'), NOWHERE)
      const writing = new AbortController()
      write(dir.file('pipe'), path, alerts, 'burst', writing.signal).catch(() => {})
      await Promise.race([delay(OUTAGE_MS), running.died])
      const { peak } = memory(running.pid)
      writing.abort()
      return { 'peak RSS MiB': peak }
    },
    { ratios: false },
  )
}
