// The batches that wait in memory, oldest first, and how much of it they take.

import { type Batch, heldBytes } from '../encoding/batch.ts'

export type Memory = ReturnType<typeof createMemory>

export function createMemory() {
  const batches: Batch[] = []
  let alerts = 0
  let bytes = 0

  function splice(at: number, count: number, added: Batch[]): Batch | undefined {
    const [removed] = batches.splice(at, count, ...added)
    for (const batch of added) add(batch, 1)
    if (removed) add(removed, -1)
    return removed
  }

  function add(batch: Batch, sign: 1 | -1): void {
    alerts += sign * batch.count
    bytes += sign * heldBytes(batch)
  }

  return {
    batches: batches as readonly Batch[],
    alerts: () => alerts,
    bytes: () => bytes,
    push: (batch: Batch) => splice(batches.length, 0, [batch]),
    /** Removes the batch at an index, and puts another in its place, if any. */
    replace: (at: number, batch?: Batch) => splice(at, 1, batch ? [batch] : []),
  }
}
