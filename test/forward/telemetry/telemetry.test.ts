import { describe, expect, it } from 'vitest'
import { createCounters } from '../../../src/forward/accounting/counters.ts'
import type { Measured } from '../../../src/forward/telemetry/metrics.ts'
import { openTelemetry, routesTo } from '../../../src/forward/telemetry/telemetry.ts'
import { measured, VITALS } from '../../support/measured.ts'
import { recordingLog } from '../../support/recording-log.ts'

const routesOf = (some: Partial<Measured>, isStopping = false) =>
  routesTo(
    () => measured(some),
    () => isStopping,
  )

/** Counters of a process whose reading has paused for so long. */
function paused(ms: number) {
  const counters = createCounters()
  counters.pausedSince = performance.now() - ms
  return counters
}

describe('/livez', () => {
  it('is alive without NATS, and while reading pauses for it', () => {
    const away = { ...VITALS, connected: false }
    expect(routesOf({ vitals: away }).live()).toBeUndefined()
    const waiting = { ...away, inFlightAlerts: 5 }
    expect(routesOf({ counters: paused(3_600_000), vitals: waiting }).live()).toBeUndefined()
  })

  it('is not alive when reading has paused and nothing is waited for', () => {
    expect(routesOf({ counters: paused(29_000) }).live()).toBeUndefined()
    expect(routesOf({ counters: paused(31_000) }).live()).toBe(
      'reading has paused for 31 s and nothing is on its way',
    )
  })
})

describe('/readyz', () => {
  it('is ready until it is stopped', () => {
    expect(routesOf({}).ready(false)).toBeUndefined()
    expect(routesOf({}, true).ready(false)).toMatch(/^stopping/)
    expect(routesOf({}, true).ready(true)).toMatch(/^stopping/)
  })

  it('asks for a connection that confirms', () => {
    const ready = (vitals: object) => routesOf({ vitals: { ...VITALS, ...vitals } }).ready(true)
    expect(ready({})).toBeUndefined()
    expect(ready({ connected: false })).toBe('not connected to NATS')
    expect(ready({ waitingMs: 900 })).toBeUndefined()
    expect(ready({ waitingMs: 2100 })).toBe('NATS has not confirmed anything for 2 s')
    expect(routesOf({ vitals: { ...VITALS, connected: false } }).ready(false)).toBeUndefined()
  })
})

it('serves what is measured at each request, and logs where', async () => {
  const { log, lines } = recordingLog()
  const address = { text: '127.0.0.1:0', host: '127.0.0.1', port: 0 }
  await using endpoint = await openTelemetry(address, log)
  expect(lines).toMatchObject([
    { address: endpoint.address, msg: 'serving /metrics, /livez and /readyz' },
  ])
  const ask = async (path: string) => (await fetch(`http://${endpoint.address}${path}`)).text()
  expect(await ask('/readyz')).toBe('starting: the pipe is not open yet\n')
  const now = measured()
  endpoint.serve(
    () => now,
    () => false,
  )
  now.counters.bytesRead = 42
  expect(await ask('/metrics')).toContain('\nfalco_nats_bytes_read_total 42\n')
  expect(await ask('/readyz?nats')).toBe('ok\n')
})
