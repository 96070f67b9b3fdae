// A batch: alerts on their way from one read to one confirmation, as bytes in one buffer.
//
//   bytes:     | alert 0 | alert 1 | … |  room  |     subjects[i] is where alert i goes,
//              0       ends[0]   ends[1] used         bytes[ends[i-1], ends[i]) what it says,
//                                                     headers[i] the headers, encoded, if any,
//                                                     times[i] when it was raised

const NEWLINE = 0x0a

export interface Batch {
  bytes: Buffer
  used: number
  count: number
  /** Length of the longest alert with its headers, to compare with the server's max_payload at a glance. */
  longest: number
  /** The least severe priority in it, as an index into PRIORITIES. */
  leastSevere: number
  readonly subjects: string[]
  readonly headers: (Buffer | undefined)[]
  readonly ends: number[]
  /** Milliseconds since 1970, or NaN. */
  readonly times: number[]
}

/** Lends batches and takes them back, so that a steady stream allocates no buffers. */
export interface BatchPool {
  readonly batchBytes: number
  borrow(): Batch
  giveBack(batch: Batch): void
}

/** What is in use while all is well; what an outage needed beyond that goes back to the system. */
const IDLE_MAX = 4

export function createBatchPool(batchBytes: number): BatchPool {
  const idle: Batch[] = []
  return {
    batchBytes,
    borrow: () =>
      idle.pop() ?? {
        bytes: Buffer.allocUnsafeSlow(batchBytes),
        used: 0,
        count: 0,
        longest: 0,
        leastSevere: 0,
        subjects: [],
        headers: [],
        ends: [],
        times: [],
      },
    giveBack(batch) {
      if (idle.length >= IDLE_MAX || batch.bytes.length < batchBytes) return
      batch.used = 0
      batch.count = 0
      batch.longest = 0
      batch.leastSevere = 0
      idle.push(batch)
    },
  }
}

/** Room for what stands in the same read behind an alert that alone is larger than a batch. */
const GROWTH_BYTES = 64 * 1024

/** Copies `bytes[start, end)` in as one more alert. Grows when an alert alone is larger. */
export function append(
  batch: Batch,
  subject: string,
  severity: number,
  bytes: Buffer,
  start: number,
  end: number,
  time: number,
  headers?: Buffer,
): void {
  const length = end - start
  const used = batch.used + length
  if (used > batch.bytes.length) {
    const grown = Buffer.allocUnsafeSlow(used + GROWTH_BYTES)
    batch.bytes.copy(grown, 0, 0, batch.used)
    batch.bytes = grown
  }
  bytes.copy(batch.bytes, batch.used, start, end)
  batch.subjects[batch.count] = subject
  batch.headers[batch.count] = headers
  batch.ends[batch.count] = used
  batch.times[batch.count] = time
  batch.count++
  batch.used = used
  batch.longest = Math.max(batch.longest, length + (headers?.length ?? 0))
  if (severity > batch.leastSevere) batch.leastSevere = severity
}

/** The bytes of alert `index`: a view, valid until the batch is given back. */
export function payloadAt(batch: Batch, index: number): Buffer {
  return batch.bytes.subarray(index === 0 ? 0 : batch.ends[index - 1], batch.ends[index])
}

/** All alerts as lines, each with a newline: what is spooled. */
export function linesOf(batch: Batch): Buffer {
  const lines = Buffer.allocUnsafe(batch.used + batch.count)
  let at = 0
  for (let index = 0; index < batch.count; index++) {
    at += payloadAt(batch, index).copy(lines, at)
    lines[at++] = NEWLINE
  }
  return lines
}
