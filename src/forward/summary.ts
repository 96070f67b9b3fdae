// The last line of the log: the totals, and why alerts were lost, if any were.

import type { Logger } from '../shared/log.ts'
import {
  byPriority,
  type Counters,
  held,
  losses,
  lost,
  nonZero,
  total,
  totalDropped,
  totalRejected,
} from './accounting/counters.ts'

/** `broken`: why it ended before its time. */
export function logSummary(log: Logger, counters: Counters, hasSpool: boolean, broken?: string) {
  const { read, restored, delivered, duplicates, filtered, unreadable, spooled, resent } = counters
  const sums = {
    read,
    ...nonZero({ restored }),
    delivered,
    ...nonZero({ duplicates }),
    filtered: total(filtered),
    rejected: totalRejected(counters),
    ...(totalRejected(counters) > 0 && { reasons: nonZero(counters.rejected) }),
    ...(totalDropped(counters) > 0 && { dropped: nonZero(byPriority(counters.dropped)) }),
    ...nonZero({ unreadable, spooled }),
    left: held(counters) - spooled,
    resent,
    batches: total(counters.batchAlerts.counts),
  }
  const reasons = losses(counters, hasSpool).map(([count, why]) => `${count} ${why}`)
  const why = [...(broken ? [broken] : []), ...reasons].join(', ')
  if (why !== '') log.error(sums, `done: ${lost(counters)} alerts were lost (${why})`)
  else if (spooled === 0) log.info(sums, 'done: all alerts were delivered')
  else log.info(sums, `done: ${spooled} alerts wait in the spool for the next start`)
}
