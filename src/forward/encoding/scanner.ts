// Finds the few values of a line that we look at, without making an object of it. It accepts only whole and valid
// JSON; where it is in doubt it does not accept, and JSON.parse decides.

import { type Alert, isAlert } from '../../shared/alert/alert.ts'
import { buildIndex, line, lineView, structuralIndex } from './structural-index.ts'

/** The values that are looked for, each with its slot; behind them, slots that nothing reads. */
const NAMES =
  'rule priority source hostname tags k8s.ns.name k8s.pod.name time output_fields'.split(' ')
export const [RULE, PRIORITY, SOURCE, HOSTNAME] = [0, 1, 2, 3]
export const [TAGS, NAMESPACE, POD, TIME, SLOTS] = [4, 5, 6, 7, 8]
const [OUTPUT_FIELDS, ALERT, ELSEWHERE] = [8, 9, 10]
const NONE = -1

/** Where each value stands, quotes included: `line[starts[slot], ends[slot])`; both -1 where it is missing. */
export type Found = Readonly<ReturnType<typeof createFound>>

export const createFound = () => ({
  /** A copy of the line, from 0 on, and the same bytes: shared, and valid until the next scan. */
  line,
  view: lineView,
  starts: new Int32Array(ELSEWHERE + 1),
  ends: new Int32Array(ELSEWHERE + 1),
})

const [QUOTE, BACKSLASH, COMMA, COLON, SPACE] = [0x22, 0x5c, 0x2c, 0x3a, 0x20]
const [BRACE, BRACE_END, BRACKET, BRACKET_END] = [0x7b, 0x7d, 0x5b, 0x5d]
const [PLUS, MINUS, DOT, ZERO] = [0x2b, 0x2d, 0x2e, 0x30]
const [LARGE_E, SMALL_E, SMALL_F, SMALL_U] = [0x45, 0x65, 0x66, 0x75]
const DEPTH_MAX = 30
/** Of each level that is open: the byte that ends it, and the slot of its value. */
const closers = new Uint8Array(DEPTH_MAX + 1)
const slots = new Uint8Array(DEPTH_MAX + 1)

/** 1 for each byte of the text. */
const tableOf = (text: string) =>
  Uint8Array.from({ length: 256 }, (_, byte) => Number(text.includes(String.fromCharCode(byte))))

const ESCAPED = tableOf('"\\/bfnrt')
const HEX = tableOf('0123456789abcdefABCDEF')
const DIGIT = tableOf('0123456789')

const KEY_LENGTH_MAX = Math.max(...NAMES.map(({ length }) => length))
const KEYS_BY_LENGTH = Array.from({ length: KEY_LENGTH_MAX + 1 }, (_, length) =>
  NAMES.map((name, slot) => ({
    name: Buffer.from(name),
    slot,
    within: slot === NAMESPACE || slot === POD ? OUTPUT_FIELDS : ALERT,
  })).filter(({ name }) => name.length === length),
)

/**
 * Scans `from[start, end)`. True: it is one JSON object, and `found` has where its values stand; of a repeated key, the
 * last, as JSON.parse has it. False: perhaps it is none.
 */
export function scan(from: Buffer, start: number, end: number, found: Found): boolean {
  const { starts, ends } = found
  const count = buildIndex(from, start, end)
  if (count < 0) return false
  // Not `from`, where the bytes behind the line may continue it.
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
  slots[1] = ALERT
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
        slot = slotOf(slots[depth]!, bytes, key, at)
        if (slot === OUTPUT_FIELDS)
          starts[NAMESPACE] = ends[NAMESPACE] = starts[POD] = ends[POD] = NONE
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
        at = skipScalar(bytes, at)
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

/** The fields that kinds are made of, each as JSON.parse of the whole line has it; undefined: it is no alert. */
export function alertIn({ line, starts, ends }: Found): Alert | undefined {
  const value = (slot: number) =>
    starts[slot]! < 0 ? undefined : JSON.parse(line.toString('utf8', starts[slot], ends[slot]))
  const alert: Partial<Alert> = {
    priority: value(PRIORITY),
    rule: value(RULE),
    source: value(SOURCE),
    hostname: value(HOSTNAME),
    tags: value(TAGS),
    output_fields: { 'k8s.ns.name': value(NAMESPACE), 'k8s.pod.name': value(POD) },
  }
  return isAlert(alert) ? alert : undefined
}

/** Of the key at `bytes[start, end)` in the object that is in slot `within`. */
function slotOf(within: number, bytes: Uint8Array, start: number, end: number): number {
  const length = end - start
  if (within === ELSEWHERE || length > KEY_LENGTH_MAX) return ELSEWHERE
  const candidates = KEYS_BY_LENGTH[length]!
  for (let which = 0; which < candidates.length; which++) {
    const key = candidates[which]!
    let index = 0
    while (index < length && bytes[start + index] === key.name[index]) index++
    if (index === length && key.within === within) return key.slot
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

const [TRUE, NULL, ALSE] = ['true', 'null', 'alse'].map((text) => Buffer.from(text).readInt32BE())

/** To behind a number, true, false or null; -1: it is none. */
function skipScalar(bytes: Uint8Array, start: number): number {
  const word = lineView.getInt32(start)
  if (word === TRUE || word === NULL) return start + 4
  if (bytes[start] === SMALL_F) return lineView.getInt32(start + 1) === ALSE ? start + 5 : -1
  let at = bytes[start] === MINUS ? start + 1 : start
  at = bytes[at] === ZERO ? at + 1 : skipDigits(bytes, at)
  if (at >= 0 && bytes[at] === DOT) at = skipDigits(bytes, at + 1)
  if (at >= 0 && (bytes[at] === SMALL_E || bytes[at] === LARGE_E)) {
    const sign = bytes[at + 1]
    at = skipDigits(bytes, sign === PLUS || sign === MINUS ? at + 2 : at + 1)
  }
  return at
}

/** At least one digit; -1: there is none. */
function skipDigits(bytes: Uint8Array, at: number): number {
  if (DIGIT[bytes[at]!] !== 1) return -1
  while (DIGIT[bytes[at]!] === 1) at++
  return at
}

/** The time of an alert, as it stands in JSON, in milliseconds since 1970; NaN where it is none. */
export function timeOf(bytes: Buffer, start: number, end: number): number {
  if (start < 0 || bytes[start] !== QUOTE) return Number.NaN
  return Date.parse(bytes.toString('latin1', start + 1, end - 1))
}
