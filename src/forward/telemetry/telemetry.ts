// What can be seen of a running process from outside: what is served where, and from what.

import type { Endpoint, Routes } from '../../shared/http-endpoint.ts'
import type { Logger } from '../../shared/log.ts'
import type { Address } from '../../shared/options/parsers.ts'
import { liveTrouble, natsTrouble, readyTrouble } from './health.ts'
import type { Measured } from './metric-table.ts'

export async function openTelemetry(address: Address, log: Logger): Promise<Endpoint> {
  const { openEndpoint } = await import('../../shared/http-endpoint.ts')
  const endpoint = await openEndpoint(address)
  log.info({ address: endpoint.address }, 'serving /metrics, /livez and /readyz')
  return endpoint
}

/** `isStopping`: whether a stop has been asked for. */
export function routesTo(measure: () => Measured, isStopping: () => boolean): Routes {
  let metrics: Promise<() => Promise<Buffer>> | undefined
  return {
    async metrics() {
      metrics ??= import('./metrics.ts').then(({ createMetrics }) => createMetrics(measure))
      return (await metrics)()
    },
    live() {
      const { counters, vitals } = measure()
      return liveTrouble(counters, vitals)
    },
    ready: (withNats) =>
      readyTrouble(isStopping()) ?? (withNats ? natsTrouble(measure().vitals) : undefined),
  }
}
