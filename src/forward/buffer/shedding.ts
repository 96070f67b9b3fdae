// --when-full: how alerts are dropped when neither memory nor spool has room.

import type { Counters } from '../accounting/counters.ts'
import type { Batch, BatchPool } from '../encoding/batch.ts'
import type { Encoder } from '../encoding/encoder.ts'
import { compactCopy, linesOf } from '../encoding/messages.ts'
import type { Disk } from './spool/disk.ts'

/**
 * Returns what drops the least severe alerts of the oldest row or batch with any. False: nothing is left but alerts of
 * priority `kept` and more severe ones.
 */
export function createShedding(
  { encoder, pool, counters }: { encoder: Encoder; pool: BatchPool; counters: Counters },
  disk: Disk,
  memory: readonly Batch[],
  replace: (index: number, ...by: Batch[]) => void,
  kept: number,
): () => boolean {
  /** Drops those of `lines` that are as severe; counts them once `keep` has stored the others. */
  function shed(severity: number, lines: Buffer, alerts: number, keep: (left: Batch) => void) {
    const left = pool.borrow()
    const failedBefore = counters.rejected.internal_error
    const unreadable = encoder.addLines(left, lines, severity)
    const failed = counters.rejected.internal_error - failedBefore
    const dropped = alerts - left.count - unreadable - failed
    keep(left)
    counters.unreadable += unreadable
    counters.dropped[severity]! += dropped
    pool.giveBack(left)
  }

  function shedRow(severity: number): boolean | undefined {
    return disk.change((spool, takenId) => {
      const row = spool.oldestWith(severity, takenId)
      if (!row) return false
      shed(severity, row.lines, row.alerts, (left) => {
        if (left.count > 0) spool.replace(row, linesOf(left), left.count, left.leastSevere)
        else spool.remove(row)
      })
      return true
    })
  }

  function shedInMemory(severity: number): void {
    const index = memory.findIndex(({ leastSevere }) => leastSevere === severity)
    const batch = memory[index]!
    shed(severity, linesOf(batch), batch.count, (left) => {
      replace(index, ...(left.count > 0 ? [compactCopy(left)] : []))
    })
    pool.giveBack(batch)
  }

  return () => {
    const inMemory = memory.reduce((max, { leastSevere }) => Math.max(max, leastSevere), -1)
    const inSpool = disk.change((spool, takenId) => spool.leastSevereAfter(takenId)) ?? -1
    if (inSpool > kept && inSpool >= inMemory && shedRow(inSpool)) return true
    if (inMemory > kept) shedInMemory(inMemory)
    return inMemory > kept
  }
}
