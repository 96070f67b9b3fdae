// Batches as the program makes them, without the program around them.

import { type Batch, createBatchPool } from '../../src/forward/encoding/batch.ts'
import { createEncoder } from '../../src/forward/encoding/encoder.ts'

/** Of these lines, each with the subject; with headers where they are given. */
export function batchOf(
  lines: readonly (Buffer | string)[],
  subject = 'falco.test',
  headers?: string,
): Batch {
  const encoder = createEncoder(() => subject, headers ? () => Buffer.from(headers) : undefined)
  const batch = createBatchPool(64 * 1024).borrow()
  for (const line of lines)
    if (encoder.addLines(batch, Buffer.from(line)) > 0) throw new Error(`not an alert: ${line}`)
  return batch
}
