// Where in a line strings begin, end or are interrupted: at quotes, backslashes and control characters.
// By WebAssembly (marks.wat), which looks at 16 bytes at a time; JavaScript looks at one.

/** A longer line is not looked at. */
export const MARKED_BYTES_MAX = 64 * 1024

// marks.wat, assembled.
const MODULE =
  'AGFzbQEAAAABBwFgAn9/AX8DAgEABQMBAAUHEQIGbWVtb3J5AgAEbWFyawAACp8BAZwBAgN/AXsgASEEA0AgAv0ABAAhBSAF/QwiIiIiIiIiIiIiIiIiIiIi/SMgBf0MXFxcXFxcXFxcXFxcXFxcXP0j/VAgBf0MICAgICAgICAgICAgICAgIP0m/VD9ZCEDAkAgA0UNAANAIAQgAiADaGo2AgAgBEEEaiEEIAMgA0EBa3EiAw0ACwsgAkEQaiICIABJDQALIAQgAWtBAnYL'

/** What we use of it; Node's types leave it to those of browsers. */
declare const WebAssembly: {
  readonly Module: new (bytes: Uint8Array) => object
  readonly Instance: new (module: object) => { readonly exports: unknown }
}

interface Exports {
  readonly memory: { readonly buffer: ArrayBuffer }
  readonly mark: (length: number, out: number) => number
}

/** Undefined where there is no WebAssembly (--jitless), or numbers have their bytes the other way round. */
const found: Exports | undefined = isUsable() ? load() : undefined
const line = Buffer.from(found?.memory.buffer ?? new ArrayBuffer(0))

/** The line that was marked last, from 0 on. */
export const lineView = new DataView(line.buffer)

/** Offsets in the line that was marked last, ascending. */
export const marks = new Int32Array(line.buffer, found ? MARKED_BYTES_MAX : 0)

/** Marks `bytes[start, end)`; gives how many marks there are, or 0 where it cannot. */
export function mark(bytes: Buffer, start: number, end: number): number {
  const length = end - start
  if (found === undefined || length > MARKED_BYTES_MAX) return 0
  bytes.copy(line, 0, start, end)
  return found.mark(length, MARKED_BYTES_MAX)
}

function isUsable(): boolean {
  const isLittleEndian = new Uint8Array(Int32Array.of(1).buffer)[0] === 1
  return isLittleEndian && typeof WebAssembly === 'object'
}

function load(): Exports {
  const module = new WebAssembly.Module(Buffer.from(MODULE, 'base64'))
  return new WebAssembly.Instance(module).exports as Exports
}
