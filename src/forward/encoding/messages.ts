// The alerts of a batch, each read back from its message. Views are valid until the batch is given back.

import type { Batch } from './batch.ts'

const [NEWLINE, SPACE] = [0x0a, 0x20]
const LINE_END_BYTES = 2

/** Where the message of alert `index` begins, its subject, and its headers, or the alert where it has none. */
export const messageStart = ({ ends }: Batch, index: number) =>
  index === 0 ? 0 : ends[index - 1]! + LINE_END_BYTES

export const subjectStart = (batch: Batch, index: number) =>
  indexOf(SPACE, batch.bytes, messageStart(batch, index)) + 1

export const headersStart = (batch: Batch, index: number) =>
  indexOf(NEWLINE, batch.bytes, messageStart(batch, index)) + 1

/** The whole message of alert `index`, its subject, and its line: views. */
export const messageAt = (batch: Batch, index: number): Buffer =>
  batch.bytes.subarray(messageStart(batch, index), batch.ends[index]! + LINE_END_BYTES)

export function subjectAt(batch: Batch, index: number): Buffer {
  const start = subjectStart(batch, index)
  return batch.bytes.subarray(start, indexOf(SPACE, batch.bytes, start))
}

export const payloadAt = ({ bytes, starts, ends }: Batch, index: number): Buffer =>
  bytes.subarray(starts[index], ends[index])

/** What counts for max_payload: the alert and its headers. */
export const sizeAt = (batch: Batch, index: number): number =>
  batch.ends[index]! - headersStart(batch, index)

/** The byte is there, and near. */
function indexOf(byte: number, bytes: Uint8Array, from: number): number {
  let at = from
  while (bytes[at] !== byte) at++
  return at
}

let lines = Buffer.alloc(0)

/** All alerts as lines, each with a newline, for the spool. A view, valid until the next call. */
export function linesOf(batch: Batch): Buffer {
  if (lines.length < batch.used) lines = Buffer.allocUnsafeSlow(batch.used)
  let at = 0
  for (let index = 0; index < batch.count; index++) {
    at += payloadAt(batch, index).copy(lines, at)
    lines[at++] = NEWLINE
  }
  return lines.subarray(0, at)
}

/** A copy that takes no more room than it needs. */
export function compactCopy(batch: Batch): Batch {
  const { used, count, starts, ends, times } = batch
  // Not from Node's pool, where a few bytes keep all of it.
  const bytes = Buffer.allocUnsafeSlow(used)
  batch.bytes.copy(bytes)
  return {
    ...batch,
    bytes,
    starts: starts.slice(0, count),
    ends: ends.slice(0, count),
    times: times.slice(0, count),
  }
}
