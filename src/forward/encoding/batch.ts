// A batch: alerts from a read to their confirmation, each as the message that is sent, in one buffer, so that a batch
// is one write. Beside the bytes there are numbers only: alerts that all differ take no more room than others.
//
//   bytes:  | PUB subject 1234 ↵ | the alert's line | ↵ | PUB …          alert i is bytes[starts[i], ends[i])
//                                starts[0]        ends[0]      used

import type { Kind } from './kind-table.ts'

const [RETURN, NEWLINE] = [0x0d, 0x0a]

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

const EMPTY = { used: 0, count: 0, longest: 0, leastSevere: 0 }
/** Batches in use while all is well; the memory of those that an outage needed goes back to the system. */
const IDLE_MAX = 4
/** The objects of a batch, about; the numbers of an alert. */
const [OBJECTS_BYTES, NUMBERS_BYTES] = [512, 16]
/** Most alerts are longer; a batch of shorter ones needs more room for their numbers. */
const ALERT_BYTES = 1024

export type BatchPool = ReturnType<typeof createBatchPool>

/** Lends batches of `size` bytes of memory in all, and takes them back: a steady stream allocates no buffers. */
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

/** The memory that the batch takes, however little is in it. */
export const heldBytes = ({ bytes, starts }: Batch): number =>
  OBJECTS_BYTES + bytes.length + starts.length * NUMBERS_BYTES

/** Room for more of the same read behind an alert that alone is larger than a batch; at most as much as the batch had. */
const GROWTH_BYTES_MAX = 64 * 1024
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
  const { protocolPrefix, headers, severity } = kind
  const size = end - start + (headers?.length ?? 0)
  const needed = batch.used + protocolPrefix.length + SIZE_BYTES_MAX + size
  if (needed > batch.bytes.length) {
    const grown = Buffer.allocUnsafeSlow(needed + Math.min(GROWTH_BYTES_MAX, batch.bytes.length))
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
  if (severity > batch.leastSevere) batch.leastSevere = severity
}

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
