// The pages on the metrics address: metrics, and whether the process is alive and ready.

import type { Routes } from '../../shared/http-endpoint.ts'
import type { Logger } from '../../shared/log.ts'
import type { Address } from '../../shared/options/parsers.ts'
import { pausedFor } from '../accounting/counters.ts'
import { STALLED_MS } from '../delivery/sink.ts'
import type { Measured } from './metrics.ts'
import { seconds } from './pressure.ts'

/** A pause this long with nothing in flight means that reading is stuck: no confirmation can end it. */
const STUCK_MS = 30_000

export interface Telemetry extends AsyncDisposable {
  /** `host:port` */
  readonly address: string
  /** Serves the pages of a process whose pipe is open. */
  serve(measure: () => Measured, isStopping: () => boolean): void
}

export async function openTelemetry(address: Address, log: Logger): Promise<Telemetry> {
  const { openEndpoint } = await import('../../shared/http-endpoint.ts')
  const endpoint = await openEndpoint(address)
  log.info({ address: endpoint.address }, 'serving /metrics, /livez and /readyz')
  return {
    ...endpoint,
    serve: (measure, isStopping) => endpoint.serve(routesTo(measure, isStopping)),
  }
}

export function routesTo(measure: () => Measured, isStopping: () => boolean): Routes {
  let metrics: Promise<() => Promise<Buffer>> | undefined
  return {
    async metrics() {
      metrics ??= import('./metrics.ts').then(({ createMetrics }) => createMetrics(measure))
      return (await metrics)()
    },
    /** Ignores NATS on purpose: a restart would not mend the connection, and would lose the alerts in memory. */
    live() {
      const { now, counters, vitals } = measure()
      const pausedMs = pausedFor(counters, now)
      if (pausedMs <= STUCK_MS || vitals.inFlightAlerts > 0) return undefined
      return `reading has paused for ${seconds(pausedMs)} and nothing is on its way`
    },
    ready(withNats) {
      if (isStopping()) return 'stopping: what was read is being delivered'
      if (!withNats) return undefined
      const { connected, waitingMs } = measure().vitals
      if (!connected) return 'not connected to NATS'
      if (waitingMs <= STALLED_MS) return undefined
      return `NATS has not confirmed anything for ${seconds(waitingMs)}`
    },
  }
}
