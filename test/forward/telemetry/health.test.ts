import { expect, it } from 'vitest'
import { createCounters } from '../../../src/forward/accounting/counters.ts'
import { liveTrouble, natsTrouble, readyTrouble } from '../../../src/forward/telemetry/health.ts'

const VITALS = {
  connected: true,
  waitingMs: 0,
  inFlightAlerts: 0,
  bufferAlerts: 0,
  bufferBytes: 0,
  spoolBytes: 0,
}

it('is alive without NATS, and while reading pauses for it', () => {
  const counters = createCounters()
  expect(liveTrouble(counters, { ...VITALS, connected: false })).toBeUndefined()
  counters.pausedSince = performance.now() - 3_600_000
  expect(liveTrouble(counters, { ...VITALS, connected: false, inFlightAlerts: 5 })).toBeUndefined()
})

it('is not alive when reading has paused and nothing is waited for', () => {
  const counters = createCounters()
  counters.pausedSince = performance.now() - 29_000
  expect(liveTrouble(counters, VITALS)).toBeUndefined()
  counters.pausedSince = performance.now() - 31_000
  expect(liveTrouble(counters, VITALS)).toBe(
    'reading has paused for 31 s and nothing is on its way',
  )
})

it('is ready until it is stopped', () => {
  expect(readyTrouble(false)).toBeUndefined()
  expect(readyTrouble(true)).toMatch(/^stopping/)
})

it('asks for a connection that confirms', () => {
  expect(natsTrouble(VITALS)).toBeUndefined()
  expect(natsTrouble({ ...VITALS, connected: false })).toBe('not connected to NATS')
  expect(natsTrouble({ ...VITALS, waitingMs: 900 })).toBeUndefined()
  expect(natsTrouble({ ...VITALS, waitingMs: 2100 })).toBe(
    'NATS has not confirmed anything for 2 s',
  )
})
