// Newline framing over any chunking. Splits on 0x0A only, drops one trailing CR, and holds at most `maxBytes` of a line.

const [NEWLINE, CARRIAGE_RETURN] = [0x0a, 0x0d]
/** What is kept of a line that is too long, to show what it was. */
const KEPT_OF_TOO_LONG_BYTES = 256

/** The bytes are valid during the call only. `tooLong` gets the first bytes of a line over the limit, and its length. */
interface LineHandler {
  line(bytes: Buffer, start: number, end: number): void
  tooLong(head: Buffer, length: number): void
}

export function createLineSplitter(maxBytes: number, handler: LineHandler) {
  //  carry: |  start of a line, not ended yet  |   room   |     grows by doubling, so that a long
  //         0                                held      capacity   line in tiny reads stays linear
  let carry = Buffer.allocUnsafeSlow(Math.min(maxBytes + 1, 4096))
  let held = 0
  /** Length of the line so far, with what is not held of a line that is too long. */
  let length = 0
  const keptBytes = Math.min(KEPT_OF_TOO_LONG_BYTES, maxBytes)

  function hold(chunk: Buffer, start: number, end: number): void {
    const from = held
    length += end - start
    // One byte more than the limit is held, since it may prove to be the CR that is dropped.
    held = length <= maxBytes + 1 ? length : Math.max(held, keptBytes)
    if (held > carry.length) {
      const grown = Buffer.allocUnsafeSlow(Math.min(maxBytes + 1, Math.max(held, carry.length * 2)))
      carry.copy(grown, 0, 0, from)
      carry = grown
    }
    chunk.copy(carry, from, start, start + held - from)
  }

  function emit(bytes: Buffer, start: number, end: number): void {
    const last = end > start && bytes[end - 1] === CARRIAGE_RETURN ? end - 1 : end
    if (last - start <= maxBytes) handler.line(bytes, start, last)
    else handler.tooLong(bytes.subarray(start, start + keptBytes), end - start)
  }

  function emitHeld(): void {
    const end = length
    held = length = 0
    emit(carry, 0, end)
  }

  return {
    /** Takes a chunk whole; keeps no reference to it. */
    push(chunk: Buffer): void {
      let start = 0
      for (;;) {
        const newline = chunk.indexOf(NEWLINE, start)
        if (newline < 0) break
        if (length === 0) {
          emit(chunk, start, newline)
        } else {
          hold(chunk, start, newline)
          emitHeld()
        }
        start = newline + 1
      }
      if (start < chunk.length) hold(chunk, start, chunk.length)
    },
    /** The input has ended: what is held, if anything, is the last line. */
    end(): void {
      if (length > 0) emitHeld()
    },
    /** Bytes held of a line whose newline has not come. */
    held: () => held,
  }
}
