// The last line of the log: the totals, and why alerts were lost, if any were.

import { PRIORITIES } from '../shared/alert/alert.ts'
import type { Logger } from '../shared/log.ts'
import {
  type Counters,
  held,
  lost,
  totalBatches,
  totalDropped,
  totalFiltered,
  totalRejected,
} from './accounting/counters.ts'

/** `broken`: why it ended before its time. */
export function logSummary(
  log: Logger,
  counters: Counters,
  hasSpool: boolean,
  broken?: string,
): void {
  const { read, restored, delivered, duplicates, rejected, dropped, unreadable } = counters
  const reasons = Object.entries(rejected).filter(([, count]) => count > 0)
  const byPriority = dropped.map((count, index) => [PRIORITIES[index], count] as const)
  const sums = {
    read,
    ...(restored > 0 && { restored }),
    delivered,
    ...(duplicates > 0 && { duplicates }),
    filtered: totalFiltered(counters),
    rejected: totalRejected(counters),
    ...(reasons.length > 0 && { reasons: Object.fromEntries(reasons) }),
    ...(totalDropped(counters) > 0 && {
      dropped: Object.fromEntries(byPriority.filter(([, count]) => count > 0)),
    }),
    ...(unreadable > 0 && { unreadable }),
    ...(counters.spooled > 0 && { spooled: counters.spooled }),
    left: held(counters) - counters.spooled,
    resent: counters.resent,
    batches: totalBatches(counters),
  }
  const why = [broken, whyLost(counters, hasSpool)].filter(Boolean).join(', ')
  if (why !== '') log.error(sums, `done: ${lost(counters)} alerts were lost (${why})`)
  else if (counters.spooled === 0) log.info(sums, 'done: all alerts were delivered')
  else log.info(sums, `done: ${counters.spooled} alerts wait in the spool for the next start`)
}

function whyLost(counters: Counters, hasSpool: boolean): string {
  const { internal_error, exceeds_max_payload, permission_denied, refused_by_stream } =
    counters.rejected
  const reasons: [count: number, text: string][] = [
    [
      held(counters) - counters.spooled,
      hasSpool ? 'neither delivered in time nor stored by the spool' : 'not delivered in time',
    ],
    [internal_error, 'failed here, by a bug'],
    [exceeds_max_payload, "over the server's max_payload"],
    [permission_denied, 'denied by permissions'],
    [refused_by_stream, 'refused by the stream'],
    [totalDropped(counters), 'dropped because buffer and spool were full'],
    [counters.unreadable, 'unreadable in a damaged spool'],
  ]
  return reasons
    .filter(([count]) => count > 0)
    .map(([count, text]) => `${count} ${text}`)
    .join(', ')
}
