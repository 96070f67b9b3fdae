// Finds the few values of a line that we look at, without making an object of it. What it accepts is
// JSON, whole and valid; where it is in doubt it does not accept, and JSON.parse decides.

import { buildIndex, line, lineView, structuralIndex } from './structural-index.ts'

/** Slots of the values that are looked for: keys of the alert, and two of its `output_fields`. */
export const [RULE, PRIORITY, SOURCE, HOSTNAME, TAGS, NAMESPACE, POD, TIME] = [
  0, 1, 2, 3, 4, 5, 6, 7,
]
export const SLOTS = 8
/** Slots that are not read: where the other values go. */
const [OUTPUT_FIELDS, ELSEWHERE] = [8, 9]
const NONE = -1

/** Where each value stands, quotes included: `line[starts[slot], ends[slot])`; both -1 where it is missing. */
export interface Found {
  /** A copy, from 0 on, that all share: valid until the next scan. */
  readonly line: Buffer
  /** The same bytes. */
  readonly view: DataView
  readonly starts: Int32Array
  readonly ends: Int32Array
}

export const createFound = (): Found => ({
  line,
  view: lineView,
  starts: new Int32Array(ELSEWHERE + 1),
  ends: new Int32Array(ELSEWHERE + 1),
})

const QUOTE = 0x22
const COMMA = 0x2c
const COLON = 0x3a
const BRACKET = 0x5b
const BACKSLASH = 0x5c
const MINUS = 0x2d
const PLUS = 0x2b
const DOT = 0x2e
const ZERO = 0x30
const BRACKET_END = 0x5d
const BRACE = 0x7b
const BRACE_END = 0x7d
const SPACE = 0x20
const SMALL_U = 0x75
const DEPTH_MAX = 30
/** Of each level that is open: the byte that ends it, and the slot of its value. */
const closers = new Uint8Array(DEPTH_MAX + 1)
const slots = new Uint8Array(DEPTH_MAX + 1)

/** 1 for each byte of the text. */
function tableOf(text: string): Uint8Array {
  const table = new Uint8Array(256)
  for (const byte of Buffer.from(text)) table[byte] = 1
  return table
}

const ESCAPED = tableOf('"\\/bfnrt')
const HEX = tableOf('0123456789abcdefABCDEF')
const DIGIT = tableOf('0123456789')

interface Key {
  readonly name: Uint8Array
  readonly slot: number
}

/** Keys by their length. */
function keys(...names: [name: string, slot: number][]): readonly Key[][] {
  const lengthMax = Math.max(...names.map(([name]) => name.length))
  return Array.from({ length: lengthMax + 1 }, (_, length) =>
    names
      .filter(([name]) => name.length === length)
      .map(([name, slot]) => ({ name: Buffer.from(name), slot })),
  )
}

const TOP_KEYS = keys(
  ['hostname', HOSTNAME],
  ['output_fields', OUTPUT_FIELDS],
  ['priority', PRIORITY],
  ['rule', RULE],
  ['source', SOURCE],
  ['tags', TAGS],
  ['time', TIME],
)
const OUTPUT_KEYS = keys(['k8s.ns.name', NAMESPACE], ['k8s.pod.name', POD])

/**
 * Looks at `from[start, end)`. True: it is one JSON object, and `found` has where its values stand; of
 * a key that stands twice, the last, as JSON.parse has it. False: perhaps it is none.
 */
export function scan(from: Buffer, start: number, end: number, found: Found): boolean {
  const { starts, ends } = found
  const count = buildIndex(from, start, end)
  if (count < 0) return false
  // Not `from`, where what stands behind the line may look as if the line went on.
  const bytes = line
  /** Place in the index. Outside of strings there are only quotes, each met where it stands. */
  let next = 0
  for (let slot = 0; slot < SLOTS; slot++) starts[slot] = ends[slot] = NONE
  let at = skipBlanks(bytes, 0)
  if (bytes[at++] !== BRACE) return false
  let depth = 1
  let closer = BRACE_END
  let isEmpty = true
  closers[1] = closer
  slots[1] = ELSEWHERE
  for (;;) {
    at = skipBlanks(bytes, at)
    let byte = bytes[at]!
    if (!(isEmpty && byte === closer)) {
      isEmpty = false
      let slot = ELSEWHERE
      if (closer === BRACE_END) {
        if (byte !== QUOTE) return false
        const key = at + 1
        if (next + 1 >= count) return false
        at = structuralIndex[next + 1]!
        next += 2
        // A key with an escape may be one of ours in disguise.
        if (bytes[at] !== QUOTE) return false
        if (depth === 1) {
          slot = slotOf(TOP_KEYS, bytes, key, at)
          if (slot === OUTPUT_FIELDS)
            starts[NAMESPACE] = ends[NAMESPACE] = starts[POD] = ends[POD] = NONE
        } else if (depth === 2 && slots[2] === OUTPUT_FIELDS) {
          slot = slotOf(OUTPUT_KEYS, bytes, key, at)
        }
        at = skipBlanks(bytes, at + 1)
        if (bytes[at] !== COLON) return false
        at = skipBlanks(bytes, at + 1)
        byte = bytes[at]!
      }
      starts[slot] = at
      if (byte === QUOTE) {
        for (;;) {
          if (++next >= count) return false
          at = structuralIndex[next]!
          if (bytes[at] === QUOTE) break
          // A control character has no place in a string.
          if (bytes[at] !== BACKSLASH || !isEscape(bytes, at + 1)) return false
          const escaped = bytes[at + 1]
          if (escaped === QUOTE || escaped === BACKSLASH) next++
        }
        next++
        at++
      } else if (byte === BRACE || byte === BRACKET) {
        if (++depth > DEPTH_MAX) return false
        closer = byte === BRACE ? BRACE_END : BRACKET_END
        closers[depth] = closer
        slots[depth] = slot
        isEmpty = true
        at++
        continue
      } else {
        at = skipScalar(bytes, at, byte)
        if (at < 0) return false
      }
      ends[slot] = at
    }
    // Behind a value, or at the end of an empty object or array.
    for (;;) {
      at = skipBlanks(bytes, at)
      byte = bytes[at++]!
      if (byte === COMMA) break
      if (byte !== closer) return false
      isEmpty = false
      ends[slots[depth]!] = at
      if (--depth === 0) return skipBlanks(bytes, at) === end - start
      closer = closers[depth]!
    }
  }
}

function slotOf(known: readonly Key[][], bytes: Uint8Array, start: number, end: number): number {
  const length = end - start
  if (length >= known.length) return ELSEWHERE
  const candidates = known[length]!
  for (let which = 0; which < candidates.length; which++) {
    const { name, slot } = candidates[which]!
    let index = 0
    while (index < length && bytes[start + index] === name[index]) index++
    if (index === length) return slot
  }
  return ELSEWHERE
}

/** Other blanks than these Falco does not write; JSON.parse knows them. */
function skipBlanks(bytes: Uint8Array, at: number): number {
  while (bytes[at] === SPACE) at++
  return at
}

/** Whether an escape goes on like that behind its backslash. */
function isEscape(bytes: Uint8Array, at: number): boolean {
  if (bytes[at] !== SMALL_U) return ESCAPED[bytes[at]!] === 1
  for (let digit = at + 1; digit <= at + 4; digit++) if (HEX[bytes[digit]!] !== 1) return false
  return true
}

/** To behind a number, true, false or null; -1: it is none. */
function skipScalar(bytes: Uint8Array, at: number, byte: number): number {
  if (byte === 0x74) return skipText(bytes, at, TRUE)
  if (byte === 0x66) return skipText(bytes, at, FALSE)
  if (byte === 0x6e) return skipText(bytes, at, NULL)
  return skipNumber(bytes, byte === MINUS ? at + 1 : at)
}

function skipNumber(bytes: Uint8Array, start: number): number {
  let at = bytes[start] === ZERO ? start + 1 : skipDigits(bytes, start)
  if (at >= 0 && bytes[at] === DOT) at = skipDigits(bytes, at + 1)
  if (at >= 0 && (bytes[at] === 0x65 || bytes[at] === 0x45)) {
    const sign = bytes[at + 1]
    at = skipDigits(bytes, sign === PLUS || sign === MINUS ? at + 2 : at + 1)
  }
  return at
}

const TRUE = Buffer.from('true')
const FALSE = Buffer.from('false')
const NULL = Buffer.from('null')

function skipText(bytes: Uint8Array, at: number, text: Buffer): number {
  for (let index = 0; index < text.length; index++) if (bytes[at + index] !== text[index]) return -1
  return at + text.length
}

/** At least one digit; -1: there is none. */
function skipDigits(bytes: Uint8Array, at: number): number {
  if (DIGIT[bytes[at]!] !== 1) return -1
  while (DIGIT[bytes[at]!] === 1) at++
  return at
}
