// The structural index of a line: the places of quotes, backslashes and control characters. JavaScript finds them, or
// under load WebAssembly (structural-index.wat), 16 bytes at a time.

/** The first of five pages is for a line and the bytes behind it, the others for as many places of four bytes. */
const [PAGES, LINE_BYTES] = [5, 64 * 1024]
/** WebAssembly may look at almost as many bytes behind the line. */
const BEHIND_BYTES = 16
/** Four bytes that the index leaves out, and that JSON cannot have outside of strings. */
const BEHIND = -1
/** A longer line is not indexed. */
export const INDEXED_BYTES_MAX = LINE_BYTES - BEHIND_BYTES

// structural-index.wat, assembled.
const MODULE =
  'AGFzbQEAAAABBwFgAn9/AX8CDgECanMGbWVtb3J5AgAFAwIBAAcIAQRtYXJrAAAKnwEBnAECA38BeyABIQQDQCAC/QAEACEFIAX9DCIiIiIiIiIiIiIiIiIiIiL9IyAF/QxcXFxcXFxcXFxcXFxcXFxc/SP9UCAF/QwgICAgICAgICAgICAgICAg/Sb9UP1kIQMCQCADRQ0AA0AgBCACIANoajYCACAEQQRqIQQgAyADQQFrcSIDDQALCyACQRBqIgIgAEkNAAsgBCABa0ECdgs='

/** The part that we use; Node's types leave it to those of browsers. It is missing with --jitless. */
declare const WebAssembly: {
  readonly Memory: new (size: { initial: number }) => { readonly buffer: ArrayBuffer }
  readonly Module: new (bytes: Uint8Array) => object
  readonly Instance: new (module: object, imports: object) => { readonly exports: unknown }
}

type Indexer = (length: number, out: number) => number

const hasWebAssembly = typeof WebAssembly === 'object'
const memory = hasWebAssembly
  ? new WebAssembly.Memory({ initial: PAGES })
  : { buffer: new ArrayBuffer(PAGES * LINE_BYTES) }

/** The line that was indexed last, from 0 on. Behind it stand bytes at which everything ends: 0xff. */
export const line: Buffer = Buffer.from(memory.buffer, 0, LINE_BYTES)
export const lineView = new DataView(memory.buffer, 0, LINE_BYTES)

/** Offsets in the line that was indexed last, ascending; behind them, those of earlier lines. */
export const structuralIndex = new Int32Array(memory.buffer, LINE_BYTES)

/**
 * When so many lines come within so many ms, WebAssembly is worth the 4 MB to compile it. A burst without it takes 4.8
 * CPU seconds a million in place of 3.4 (1.4 times as many).
 */
const [MANY_LINES, SHORT_MS] = [4096, 700]

let indexer: Indexer = indexByJavaScript
let linesLeft = MANY_LINES
let countedFrom = performance.now()

/** Copies `bytes[start, end)` to `line` and indexes it; returns the length of the index, or -1 where it cannot. */
export function buildIndex(bytes: Buffer, start: number, end: number): number {
  const length = end - start
  if (length > INDEXED_BYTES_MAX) return -1
  bytes.copy(line, 0, start, end)
  for (let at = length; at < length + BEHIND_BYTES; at += 4) lineView.setInt32(at, BEHIND)
  if (--linesLeft === 0) reconsider()
  return indexer(length, LINE_BYTES)
}

function indexByJavaScript(length: number): number {
  let count = 0
  for (let at = 0; at < length; at++) {
    const byte = line[at]!
    if (byte === 0x22 || byte === 0x5c || byte < 0x20) structuralIndex[count++] = at
  }
  return count
}

function reconsider(): void {
  const since = countedFrom
  countedFrom = performance.now()
  linesLeft = MANY_LINES
  if (countedFrom - since < SHORT_MS) indexBy('WebAssembly')
}

/** Without WebAssembly, or where numbers have their high byte first, it stays JavaScript. */
export function indexBy(way: 'JavaScript' | 'WebAssembly'): void {
  linesLeft = Number.POSITIVE_INFINITY
  indexer = indexByJavaScript
  const isUsable = hasWebAssembly && new Uint8Array(Int32Array.of(1).buffer)[0] === 1
  if (way === 'JavaScript' || !isUsable) return
  const module = new WebAssembly.Module(Buffer.from(MODULE, 'base64'))
  const { exports } = new WebAssembly.Instance(module, { js: { memory } })
  indexer = (exports as { mark: Indexer }).mark
}
