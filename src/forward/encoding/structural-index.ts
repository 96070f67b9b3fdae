// The structural index of a line: where strings begin, end or are interrupted, at quotes, backslashes and
// control characters. Under load by WebAssembly (structural-index.wat), which looks at 16 bytes at a time;
// until then by JavaScript.

/** Room for a line and what stands behind it, and for as many places of four bytes. */
const PAGES = 5
const PAGE_BYTES = 64 * 1024
const LINE_BYTES = PAGE_BYTES
/** WebAssembly may look at almost as many bytes behind the line. */
const BEHIND_BYTES = 16
/** Four bytes that the index leaves out, and that have no place in JSON outside of strings. */
const BEHIND = -1
/** A longer line is not indexed. */
export const INDEXED_BYTES_MAX = LINE_BYTES - BEHIND_BYTES

// structural-index.wat, assembled.
const MODULE =
  'AGFzbQEAAAABBwFgAn9/AX8CDgECanMGbWVtb3J5AgAFAwIBAAcIAQRtYXJrAAAKnwEBnAECA38BeyABIQQDQCAC/QAEACEFIAX9DCIiIiIiIiIiIiIiIiIiIiL9IyAF/QxcXFxcXFxcXFxcXFxcXFxc/SP9UCAF/QwgICAgICAgICAgICAgICAg/Sb9UP1kIQMCQCADRQ0AA0AgBCACIANoajYCACAEQQRqIQQgAyADQQFrcSIDDQALCyACQRBqIgIgAEkNAAsgBCABa0ECdgs='

/** What we use of it; Node's types leave it to those of browsers. It is not there with --jitless. */
declare const WebAssembly: {
  readonly Memory: new (size: { initial: number }) => { readonly buffer: ArrayBuffer }
  readonly Module: new (bytes: Uint8Array) => object
  readonly Instance: new (module: object, imports: object) => { readonly exports: unknown }
}

type Indexer = (length: number, out: number) => number

const hasWebAssembly = typeof WebAssembly === 'object'
const memory = hasWebAssembly
  ? new WebAssembly.Memory({ initial: PAGES })
  : { buffer: new ArrayBuffer(PAGES * PAGE_BYTES) }

/** The line that was indexed last, from 0 on. Behind it stand bytes at which everything ends: 0xff. */
export const line: Buffer = Buffer.from(memory.buffer, 0, LINE_BYTES)
export const lineView = new DataView(memory.buffer, 0, LINE_BYTES)

/** Offsets in the line that was indexed last, ascending; behind them, those of earlier lines. */
export const structuralIndex = new Int32Array(memory.buffer, LINE_BYTES)

/**
 * WebAssembly takes half the time, but 4 MB to compile these few bytes. It is loaded when so many lines have
 * come within so many ms. A burst without it takes 4.8 CPU seconds a million in place of 3.4 (1.4 times as many).
 */
const MANY_LINES = 4096
const SHORT_MS = 400

let indexer: Indexer = indexByJavaScript
let linesLeft = MANY_LINES
let countedFrom = performance.now()

/** Copies `bytes[start, end)` to `line` and indexes it; gives the length of the index, or -1 where it cannot. */
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
  const now = performance.now()
  if (now - countedFrom < SHORT_MS) indexBy('WebAssembly')
  else linesLeft = MANY_LINES
  countedFrom = now
}

/** From now on. Where there is no WebAssembly, or numbers have their high byte first, it stays JavaScript. */
export function indexBy(way: 'JavaScript' | 'WebAssembly'): void {
  linesLeft = Number.POSITIVE_INFINITY
  const isUsable = hasWebAssembly && new Uint8Array(Int32Array.of(1).buffer)[0] === 1
  indexer = way === 'WebAssembly' && isUsable ? loadIndexer() : indexByJavaScript
}

function loadIndexer(): Indexer {
  const module = new WebAssembly.Module(Buffer.from(MODULE, 'base64'))
  const { exports } = new WebAssembly.Instance(module, { js: { memory } })
  return (exports as { mark: Indexer }).mark
}
