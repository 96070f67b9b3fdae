// What can be seen of a running process from outside: what is served where, and from what.

import type { Endpoint, Routes } from '../../shared/http-endpoint.ts'
import type { Logger } from '../../shared/log.ts'
import type { Stats } from '../accounting/counters.ts'
import { createFalcoEvents, type FalcoEvents } from '../accounting/falco-events.ts'
import type { Intake } from '../buffer/batcher.ts'
import type { Vitals } from '../delivery/publisher.ts'
import type { Config } from '../options.ts'
import { liveTrouble, natsTrouble, readyTrouble } from './health.ts'
import type { Measured } from './metric-table.ts'

/** Listens, unless --metrics-address is off. A dry run is nothing to watch. */
export async function openWatch(config: Config, log: Logger): Promise<Endpoint | undefined> {
  if (config.metricsAddress === undefined || config.dryRun) return undefined
  const { openEndpoint } = await import('../../shared/http-endpoint.ts')
  const endpoint = await openEndpoint(config.metricsAddress)
  log.info({ address: endpoint.address }, 'serving /metrics, /livez and /readyz')
  return endpoint
}

export function createEvents({ falcoEvents, maxSeries }: Config): FalcoEvents | undefined {
  if (falcoEvents === 'off') return undefined
  return createFalcoEvents(falcoEvents === 'full' ? Number.POSITIVE_INFINITY : maxSeries)
}

export interface Watched {
  readonly config: Config
  readonly stats: Stats
  readonly vitals: () => Vitals
  readonly intake: Intake
  readonly events: FalcoEvents | undefined
  readonly stop: AbortSignal
}

export function routesTo({ config, stats, vitals, intake, events, stop }: Watched): Routes {
  const measure = (): Measured => ({
    stats,
    vitals: vitals(),
    intakeAlerts: intake.waiting(),
    mode: config.jetstream ? 'jetstream' : 'core',
    bufferLimitBytes: config.bufferBytes,
    spoolLimitBytes: config.spoolDir === undefined ? undefined : config.spoolBytes,
    events,
  })
  let metrics: Promise<() => Promise<Buffer>> | undefined
  return {
    async metrics() {
      metrics ??= import('./metrics.ts').then(({ createMetrics }) => createMetrics(measure))
      return (await metrics)()
    },
    live: () => liveTrouble(stats, vitals()),
    ready: (withNats) =>
      readyTrouble(stop.aborted) ?? (withNats ? natsTrouble(vitals()) : undefined),
  }
}
