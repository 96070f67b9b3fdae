// The batches that wait in memory, oldest first, and how much of it they take.

import { type Batch, heldBytes } from '../encoding/batch.ts'

export type Memory = ReturnType<typeof createMemory>

export function createMemory() {
  const batches: Batch[] = []
  let bytes = 0
  return {
    batches: batches as readonly Batch[],
    alerts: () => batches.reduce((sum, { count }) => sum + count, 0),
    bytes: () => bytes,
    push(batch: Batch): void {
      batches.push(batch)
      bytes += heldBytes(batch)
    },
    /** Removes the batch at an index, and puts another in its place, if any. */
    replace(at: number, ...by: Batch[]): void {
      for (const batch of by) bytes += heldBytes(batch)
      for (const batch of batches.splice(at, 1, ...by)) bytes -= heldBytes(batch)
    },
  }
}
