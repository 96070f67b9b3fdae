// A replica of respond, as a process: one playbook whose one step tells a local HTTP server of each
// alert that it acts upon. Arguments: the server's URL, the HTTP server's URL.

import type { RespondConfig } from '../../src/respond/options.ts'
import { respond } from '../../src/respond/respond.ts'
import { createLogger } from '../../src/shared/log.ts'
import { parseServers } from '../../src/shared/nats/servers.ts'
import { fakeStep, planOf, playbookOf } from './engine.ts'

const [, , nats, recorder] = process.argv as [string, string, string, string]

const act = fakeStep(
  async ({ alert, signal }) => {
    const { n } = alert.output_fields as { n: number }
    const response = await fetch(`${recorder}/${n}`, { method: 'POST', signal })
    await response.arrayBuffer()
    return `told of ${n}`
  },
  { name: 'act', repeatable: false },
)
const plan = planOf([playbookOf([act], { name: 'replicas', concurrency: 8, maxDeliver: 20 })], {
  maxActionsPerMinute: 1_000_000,
})
const config = {
  server: parseServers(nats),
  durable: 'replicas',
  core: false,
  tlsfirst: false,
  drainTimeout: 10_000,
} as unknown as RespondConfig
const stop = new AbortController()
process.on('SIGTERM', () => stop.abort())
const log = await createLogger({ logLevel: 'warn', logFormat: 'json' })
process.send?.('started')
process.exit(await respond(config, plan, log, stop.signal, new AbortController().signal))
