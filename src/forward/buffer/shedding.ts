// --when-full drop: which alerts go when neither memory nor spool has room.

import type { Counters } from '../accounting/counters.ts'
import { type Batch, type BatchPool, compactCopy, linesOf } from '../encoding/batch.ts'
import type { Encoder } from '../encoding/encoder.ts'
import type { Memory } from './memory.ts'
import type { Disk } from './spool/disk.ts'

export interface SheddingOptions {
  readonly encoder: Encoder
  readonly pool: BatchPool
  readonly counters: Counters
  readonly memory: Memory
  readonly disk: Disk
}

/**
 * Gives a function that sheds the least severe alerts, those of the oldest row or batch that has any. It
 * returns false when nothing is left.
 */
export function createShedding(options: SheddingOptions): () => boolean {
  const { encoder, pool, counters, memory, disk } = options

  /** Counts the alerts of that severity once `keep` has put the others in the place of all. */
  function shed(
    severity: number,
    lines: Buffer,
    alerts: number,
    keep: (left: Batch | undefined) => void,
  ): void {
    const left = pool.borrow()
    const failedBefore = counters.rejected.internal_error
    const unreadable = encoder.addLines(left, lines, severity)
    const failed = counters.rejected.internal_error - failedBefore
    const shed = alerts - left.count - unreadable - failed
    keep(left.count > 0 ? left : undefined)
    counters.unreadable += unreadable
    counters.dropped[severity]! += shed
    pool.giveBack(left)
  }

  const shedRow = (severity: number) =>
    disk.change((spool, takenId) => {
      const row = spool.oldestWith(severity, takenId)
      if (!row) return false
      shed(severity, row.lines, row.alerts, (left) => {
        if (left) spool.replace(row, linesOf(left), left.count, left.leastSevere)
        else spool.remove(row)
      })
      return true
    })

  function shedInMemory(severity: number): void {
    const index = memory.batches.findIndex(({ leastSevere }) => leastSevere === severity)
    const batch = memory.batches[index]!
    shed(severity, linesOf(batch), batch.count, (left) => {
      memory.replace(index, left && compactCopy(left))
    })
    pool.giveBack(batch)
  }

  return () => {
    const inMemory = memory.batches.reduce((max, { leastSevere }) => Math.max(max, leastSevere), -1)
    const inSpool = disk.change((spool, takenId) => spool.leastSevereAfter(takenId)) ?? -1
    if (inSpool >= Math.max(inMemory, 0) && shedRow(inSpool)) return true
    if (inMemory >= 0) shedInMemory(inMemory)
    return inMemory >= 0
  }
}
