// The last line of the log: the totals, and why alerts were lost, if any were.

import { PRIORITIES } from '../shared/alert/alert.ts'
import type { Logger } from '../shared/log.ts'
import {
  held,
  lost,
  type Stats,
  totalBatches,
  totalDropped,
  totalFiltered,
  totalRejected,
} from './accounting/counters.ts'

/** `broken`: why it ended before its time. */
export function logSummary(log: Logger, stats: Stats, hasSpool: boolean, broken?: string): void {
  const { read, restored, delivered, duplicates, rejected, dropped, unreadable } = stats
  const reasons = Object.entries(rejected).filter(([, count]) => count > 0)
  const byPriority = dropped.map((count, index) => [PRIORITIES[index], count] as const)
  const sums = {
    read,
    ...(restored > 0 && { restored }),
    delivered,
    ...(duplicates > 0 && { duplicates }),
    filtered: totalFiltered(stats),
    rejected: totalRejected(stats),
    ...(reasons.length > 0 && { reasons: Object.fromEntries(reasons) }),
    ...(totalDropped(stats) > 0 && {
      dropped: Object.fromEntries(byPriority.filter(([, count]) => count > 0)),
    }),
    ...(unreadable > 0 && { unreadable }),
    ...(stats.spooled > 0 && { spooled: stats.spooled }),
    left: held(stats) - stats.spooled,
    resent: stats.resent,
    batches: totalBatches(stats),
  }
  const why = [broken, whyLost(stats, hasSpool)].filter(Boolean).join(', ')
  if (why !== '') log.error(sums, `done: ${lost(stats)} alerts were lost (${why})`)
  else if (stats.spooled === 0) log.info(sums, 'done: all alerts were delivered')
  else log.info(sums, `done: ${stats.spooled} alerts wait in the spool for the next start`)
}

function whyLost(stats: Stats, hasSpool: boolean): string {
  const { internal_error, exceeds_max_payload, permission_denied, refused_by_stream } =
    stats.rejected
  const reasons: [count: number, text: string][] = [
    [
      held(stats) - stats.spooled,
      hasSpool ? 'neither delivered in time nor stored by the spool' : 'not delivered in time',
    ],
    [internal_error, 'failed here, by a bug'],
    [exceeds_max_payload, "over the server's max_payload"],
    [permission_denied, 'denied by permissions'],
    [refused_by_stream, 'refused by the stream'],
    [totalDropped(stats), 'dropped because buffer and spool were full'],
    [stats.unreadable, 'unreadable in a damaged spool'],
  ]
  return reasons
    .filter(([count]) => count > 0)
    .map(([count, text]) => `${count} ${text}`)
    .join(', ')
}
