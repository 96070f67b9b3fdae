// A batch: alerts on their way from one read to one confirmation, each as the message that is sent,
// one behind the other in one buffer, so that a batch is one write.
//
//   bytes:  | PUB subject 1234 ↵ | the alert's line | ↵ | PUB …          alert i is bytes[starts[i], ends[i])
//                                starts[0]        ends[0]      used
//
// Beside the bytes there are numbers only: what subject and headers an alert has is read from its message
// where it is needed, so that a flood of alerts that are all different takes no more room than another.

import type { Kind } from './kind-table.ts'

const NEWLINE = 0x0a
const SPACE = 0x20
const RETURN = 0x0d

export interface Batch {
  bytes: Buffer
  used: number
  count: number
  /** Length of the longest alert with its headers, to compare with the server's max_payload at a glance. */
  longest: number
  /** The least severe priority in it, as an index into PRIORITIES. */
  leastSevere: number
  starts: Uint32Array<ArrayBuffer>
  ends: Uint32Array<ArrayBuffer>
  /** When each was raised: milliseconds since 1970, or NaN. */
  times: Float64Array<ArrayBuffer>
}

/** What is in use while all is well; what an outage needed beyond that goes back to the system. */
const IDLE_MAX = 4
/** The objects that a batch is, about; the numbers of an alert. */
const [OBJECTS_BYTES, NUMBERS_BYTES] = [512, 16]
/** How long most alerts are, at least; a batch of shorter ones needs more room for their numbers. */
const ALERT_BYTES = 1024

const EMPTY = {
  used: 0,
  count: 0,
  longest: 0,
  leastSevere: 0,
}

export type BatchPool = ReturnType<typeof createBatchPool>

/**
 * Lends batches and takes them back, so that a steady stream allocates no buffers. Each takes `size` bytes of memory,
 * with all that belongs to it.
 */
export function createBatchPool(size: number) {
  const idle: Batch[] = []
  const alerts = Math.ceil(size / ALERT_BYTES)
  const batchBytes = size - OBJECTS_BYTES - alerts * NUMBERS_BYTES
  return {
    /** Room for messages. */
    batchBytes,
    borrow: (): Batch =>
      idle.pop() ?? {
        ...EMPTY,
        bytes: Buffer.allocUnsafeSlow(batchBytes),
        starts: new Uint32Array(alerts),
        ends: new Uint32Array(alerts),
        times: new Float64Array(alerts),
      },
    giveBack(batch: Batch): void {
      if (idle.length < IDLE_MAX && batch.bytes.length >= batchBytes)
        idle.push(Object.assign(batch, EMPTY))
    },
  }
}

/** Room for what stands in the same read behind an alert that alone is larger than a batch. */
const GROWTH_BYTES = 64 * 1024
/** The size of an alert in digits, and two line ends. */
const SIZE_BYTES_MAX = 16

/** Copies `bytes[start, end)` in as one more alert. Grows when an alert alone is larger. */
export function append(
  batch: Batch,
  { kind, time }: { readonly kind: Kind; readonly time: number },
  bytes: Buffer,
  start: number,
  end: number,
): void {
  const { protocolPrefix, headers } = kind
  const size = end - start + (headers?.length ?? 0)
  const needed = batch.used + protocolPrefix.length + SIZE_BYTES_MAX + size
  if (needed > batch.bytes.length) {
    const grown = Buffer.allocUnsafeSlow(needed + GROWTH_BYTES)
    batch.bytes.copy(grown, 0, 0, batch.used)
    batch.bytes = grown
  }
  const into = batch.bytes
  into.set(protocolPrefix, batch.used)
  let at = endLine(into, putNumber(into, batch.used + protocolPrefix.length, size))
  if (headers !== undefined) {
    into.set(headers, at)
    at += headers.length
  }
  const { count } = batch
  if (count === batch.starts.length) {
    batch.starts = new Uint32Array(batch.starts.buffer.transfer(2 * batch.starts.byteLength))
    batch.ends = new Uint32Array(batch.ends.buffer.transfer(2 * batch.ends.byteLength))
    batch.times = new Float64Array(batch.times.buffer.transfer(2 * batch.times.byteLength))
  }
  batch.times[count] = time
  batch.starts[count] = at
  at += bytes.copy(into, at, start, end)
  batch.ends[count] = at
  batch.used = endLine(into, at)
  batch.count++
  if (size > batch.longest) batch.longest = size
  if (kind.severity > batch.leastSevere) batch.leastSevere = kind.severity
}

/** What the batch takes of the memory, however little is in it. */
export const heldBytes = ({ bytes, starts }: Batch): number =>
  OBJECTS_BYTES + bytes.length + starts.length * NUMBERS_BYTES

function putNumber(into: Uint8Array, start: number, number: number): number {
  let end = start + 1
  for (let rest = number; rest >= 10; rest = Math.trunc(rest / 10)) end++
  for (let at = end - 1, rest = number; at >= start; at--, rest = Math.trunc(rest / 10))
    into[at] = 0x30 + (rest % 10)
  return end
}

function endLine(into: Uint8Array, at: number): number {
  into[at] = RETURN
  into[at + 1] = NEWLINE
  return at + 2
}

/** The bytes of alert `index`: a view, valid until the batch is given back. */
export function payloadAt(batch: Batch, index: number): Buffer {
  return batch.bytes.subarray(batch.starts[index], batch.ends[index])
}

/** What counts for max_payload: the alert and its headers. */
export const sizeAt = (batch: Batch, index: number): number =>
  batch.ends[index]! - headersStart(batch, index)

/** The whole message of alert `index`, ready to be sent. */
export function messageAt(batch: Batch, index: number): Buffer {
  return batch.bytes.subarray(messageStart(batch, index), batch.ends[index]! + LINE_END_BYTES)
}

/** The subject of alert `index`: a view as well. */
export function subjectAt(batch: Batch, index: number): Buffer {
  const start = subjectStart(batch, index)
  return batch.bytes.subarray(start, indexOf(SPACE, batch.bytes, start))
}

/** Where the message of alert `index` begins, its subject, and its headers, or the alert where it has none. */
export const messageStart = ({ ends }: Batch, index: number) =>
  index === 0 ? 0 : ends[index - 1]! + LINE_END_BYTES

export const subjectStart = (batch: Batch, index: number) =>
  indexOf(SPACE, batch.bytes, messageStart(batch, index)) + 1

export const headersStart = (batch: Batch, index: number) =>
  indexOf(NEWLINE, batch.bytes, messageStart(batch, index)) + 1

/** It is there, and near. */
function indexOf(byte: number, bytes: Uint8Array, from: number): number {
  let at = from
  while (bytes[at] !== byte) at++
  return at
}

const LINE_END_BYTES = 2

/** All alerts as lines, each with a newline: what is spooled. A view, valid until the next call. */
export function linesOf(batch: Batch): Buffer {
  if (lines.length < batch.used) lines = Buffer.allocUnsafeSlow(batch.used)
  let at = 0
  for (let index = 0; index < batch.count; index++) {
    at += payloadAt(batch, index).copy(lines, at)
    lines[at++] = NEWLINE
  }
  return lines.subarray(0, at)
}

let lines = Buffer.alloc(0)

/** A copy that takes no more room than it needs. */
export function compactCopy(batch: Batch): Batch {
  const { used, count, starts, ends, times } = batch
  // None of Node's pool, of which a few bytes hold all.
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
