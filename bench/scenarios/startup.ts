// From nothing to the first delivered alert, which waits in the pipe.

import { once } from 'node:events'
import { BARE, type Contender, launch, run } from '../support/contender.ts'
import { subscribe, write } from '../support/native.ts'
import type { Suite } from '../support/suite.ts'
import { median } from '../support/table.ts'
import { startBench } from '../support/trial.ts'

/** They are short, and three would say little. */
const TIMES_A_RUN = 7

export async function startup(suite: Suite): Promise<void> {
  const { path } = suite.file()
  const all = [...suite.contenders('startup'), BARE]
  await suite.compare('start-up to the first delivered alert', all, async (contender) => {
    const times: number[] = []
    for (let time = 0; time < TIMES_A_RUN; time++)
      times.push(
        contender === BARE ? await untilOutput(contender) : await untilDelivered(contender, path),
      )
    return { ms: median(times) }
  })
}

async function untilOutput({ command }: Contender): Promise<number> {
  const from = performance.now()
  const child = launch(command, 'pipe')
  await once(child.stdout!, 'data')
  const ms = performance.now() - from
  child.kill('SIGKILL')
  await once(child, 'exit')
  return ms
}

async function untilDelivered(contender: Contender, file: string): Promise<number> {
  await using bench = await startBench()
  await write(bench.pipe, file, 1, 'burst')
  const subscriber = await subscribe(bench.port, 'falco.>', 1)
  const from = process.hrtime.bigint()
  await using _running = await run(contender, bench.pipe, bench.url)
  const { firstNs } = await subscriber.delivered
  return (firstNs - Number(from)) / 1e6
}
