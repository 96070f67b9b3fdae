import { expect, it } from 'vitest'
import { type Counters, createCounters, observe } from '../../src/forward/accounting/counters.ts'
import { logSummary } from '../../src/forward/summary.ts'
import { PRIORITIES } from '../../src/shared/alert/alert.ts'
import { recordingLog } from '../support/recording-log.ts'

function summary(fill: (counters: Counters) => void, hasSpool = false, broken?: string) {
  const counters = createCounters()
  fill(counters)
  const { log, lines } = recordingLog()
  logSummary(log, counters, hasSpool, broken)
  expect(lines).toHaveLength(1)
  return lines[0]
}

const [INFO, ERROR] = [30, 50]

it('has the sums alone when all is well', () => {
  const line = summary((counters) => {
    Object.assign(counters, { read: 10, delivered: 7, resent: 2 })
    counters.filtered[7] = 3
    observe(counters.batchAlerts, 3)
    observe(counters.batchAlerts, 4)
  })
  expect(line).toEqual({
    level: INFO,
    read: 10,
    delivered: 7,
    filtered: 3,
    rejected: 0,
    left: 0,
    resent: 2,
    batches: 2,
    msg: 'done: all alerts were delivered',
  })
})

it('adds the sums that are rarely there', () => {
  const line = summary((counters) => {
    Object.assign(counters, { read: 10, restored: 5, delivered: 10, duplicates: 4, spooled: 3 })
    counters.rejected.invalid_json = 2
  }, true)
  expect(line).toMatchObject({
    level: INFO,
    restored: 5,
    duplicates: 4,
    rejected: 2,
    reasons: { invalid_json: 2 },
    spooled: 3,
    left: 0,
    msg: 'done: 3 alerts wait in the spool for the next start',
  })
})

it('is an error that names each loss when there is one', () => {
  const fill = (counters: Counters) => {
    counters.read = 10
    counters.dropped[PRIORITIES.indexOf('debug')] = 2
    counters.unreadable = 1
    counters.rejected.permission_denied = 3
  }
  expect(summary(fill)).toMatchObject({
    level: ERROR,
    dropped: { debug: 2 },
    reasons: { permission_denied: 3 },
    unreadable: 1,
    left: 4,
    msg: 'done: 10 alerts were lost (4 not delivered in time, 3 denied by permissions, 2 dropped because buffer and spool were full, 1 unreadable in a damaged spool)',
  })
  expect(summary(fill, true)!.msg).toContain('4 neither delivered in time nor stored by the spool')
})

it('is an error with the reason when the run broke, though nothing was lost', () => {
  expect(summary(() => {}, false, 'the pipe was removed')).toMatchObject({
    level: ERROR,
    msg: 'done: 0 alerts were lost (the pipe was removed)',
  })
})
