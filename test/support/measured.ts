// What telemetry measures, of a process at rest.

import { createCounters } from '../../src/forward/accounting/counters.ts'
import type { Measured } from '../../src/forward/telemetry/metrics.ts'

export const VITALS = {
  connected: true,
  waitingMs: 0,
  inFlightAlerts: 0,
  bufferAlerts: 0,
  bufferBytes: 0,
  spoolBytes: 0,
}

export const measured = (some: Partial<Measured> = {}): Measured => ({
  now: performance.now(),
  counters: createCounters(),
  vitals: VITALS,
  batcherAlerts: 0,
  mode: 'core',
  bufferLimitBytes: 1024,
  spoolLimitBytes: undefined,
  events: undefined,
  ...some,
})
