import { describe, expect, it } from 'vitest'
import {
  createCounters,
  createHistogram,
  held,
  losses,
  lost,
  observe,
  pausedFor,
} from '../../../src/forward/accounting/counters.ts'
import { allRejects } from '../../../src/forward/accounting/rejects.ts'

describe('a histogram', () => {
  it('counts into the first bucket whose bound is not exceeded, else into the last', () => {
    const histogram = createHistogram([1, 3, 10])
    for (const value of [0, 1, 1.5, 3, 10, 10.1, 1e9]) observe(histogram, value)
    expect(histogram.counts).toEqual([2, 2, 1, 2])
    expect(histogram.sum).toBeCloseTo(1e9 + 25.6)
  })
})

describe('the books', () => {
  it('hold what was read and restored, less all that has ended', () => {
    const counters = createCounters()
    counters.read = 100
    counters.restored = 20
    expect([held(counters), lost(counters)]).toEqual([120, 120])
    counters.delivered = 60
    counters.filtered[7] = 5
    counters.dropped[6] = 4
    counters.unreadable = 3
    for (const reason of Object.keys(allRejects()))
      Object.assign(counters.rejected, { [reason]: 2 })
    expect(held(counters)).toBe(120 - 60 - 5 - 4 - 3 - 14)
    counters.spooled = 30
    // In the spool is safe; lines that were no alerts are no loss.
    expect(lost(counters)).toBe(34 - 30 + 4 + 3 + 4 * 2)
    expect(losses(counters, true)).toEqual([
      [4, 'neither delivered in time nor stored by the spool'],
      [2, 'failed here, by a bug'],
      [2, "over the server's max_payload"],
      [2, 'denied by permissions'],
      [2, 'refused by the stream'],
      [4, 'dropped because buffer and spool were full'],
      [3, 'unreadable in a damaged spool'],
    ])
  })

  it('have no loss where all is delivered or in the spool', () => {
    const counters = createCounters()
    Object.assign(counters, { read: 10, delivered: 6, spooled: 4 })
    counters.read += 3
    for (const reason of ['invalid_json', 'not_an_alert', 'too_long'] as const)
      counters.rejected[reason]++
    expect([lost(counters), losses(counters)]).toEqual([0, []])
  })
})

it('measures a pause that lasts', () => {
  const counters = createCounters()
  expect(pausedFor(counters, 5000)).toBe(0)
  counters.pausedSince = 2000
  expect(pausedFor(counters, 5000)).toBe(3000)
})
