// Connected, with nothing to do.

import { setTimeout as delay } from 'node:timers/promises'
import { BARE, type Contender, run } from '../support/contender.ts'
import { memory } from '../support/process.ts'
import type { Suite } from '../support/suite.ts'
import type { Row } from '../support/table.ts'
import { startBench } from '../support/trial.ts'

const IDLE_MS = 5_000

export async function idle(suite: Suite): Promise<void> {
  const all = [...suite.contenders('idle'), BARE]
  await suite.compare(`idle: after ${IDLE_MS / 1000} s`, all, rest)
}

export const restOfBareNode = async (): Promise<ReadonlyMap<string, Row>> =>
  new Map([[BARE.name, await rest(BARE)]])

async function rest(contender: Contender): Promise<Row> {
  await using bench = await startBench()
  await using running = await run(contender, bench.pipe, bench.url)
  await Promise.race([delay(IDLE_MS), running.died])
  const { rss, anon } = memory(running.pid)
  return { 'RSS MiB': rss, 'anon MiB': anon }
}
