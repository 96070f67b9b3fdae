// Alerts in a line that is not JSON as a whole, because a writer died before its newline:
// `{"hostname":"a","outp{"hostname":"a",…}`.

import { type Alert, type LineReject, parseAlert } from '../../shared/alert/alert.ts'

const [QUOTE, BACKSLASH, OPEN, CLOSE] = [0x22, 0x5c, 0x7b, 0x7d]

/**
 * The pieces of `bytes[start, end)` in order, each an alert, or why it is none; undefined when none is an alert. Works
 * from the end, where JSON is intact: each step takes the object that the last `}` closes, so the time stays linear.
 */
export function unglue(bytes: Buffer, start: number, end: number) {
  const pieces: { start: number; end: number; found: Alert | LineReject }[] = []
  let rest = trimEnd(bytes, start, end)
  while (rest > start) {
    const open = lastObjectStart(bytes, start, rest)
    const found = open < 0 ? 'invalid_json' : parseObject(bytes, open, rest)
    const from = found === 'invalid_json' ? start : open
    const behind = pieces.at(-1)
    // Many objects in a row that are no alerts are one reject.
    if (found === 'not_an_alert' && behind?.found === found) behind.start = from
    else pieces.push({ start: from, end: rest, found })
    rest = trimEnd(bytes, start, from)
  }
  return pieces.some(({ found }) => typeof found !== 'string') ? pieces.reverse() : undefined
}

/** Does not parse the objects of a text full of `{}` one by one. */
const parseObject = (bytes: Buffer, start: number, end: number) =>
  trimEnd(bytes, start + 1, end - 1) === start + 1 ? 'not_an_alert' : parseAlert(bytes, start, end)

/** Index of the `{` that the `}` at the very end closes; -1 if there is none. */
function lastObjectStart(bytes: Buffer, start: number, end: number): number {
  if (bytes[end - 1] !== CLOSE) return -1
  let depth = 0
  let inString = false
  for (let at = end - 1; at >= start; at--) {
    const byte = bytes[at]
    if (byte === QUOTE) {
      const quote = at
      while (at > start && bytes[at - 1] === BACKSLASH) at--
      if ((quote - at) % 2 === 0) inString = !inString
    } else if (!inString && byte === CLOSE) {
      depth++
    } else if (!inString && byte === OPEN && --depth === 0) {
      return at
    }
  }
  return -1
}

/** The end of the range without the blanks, tabs and carriage returns before it. */
export function trimEnd(bytes: Buffer, start: number, end: number): number {
  let at = end
  while (at > start && (bytes[at - 1] === 0x20 || bytes[at - 1] === 0x09 || bytes[at - 1] === 0x0d))
    at--
  return at
}
