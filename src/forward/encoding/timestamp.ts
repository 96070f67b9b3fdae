// When an alert was raised, as a number.

const QUOTED = '"2026-08-03T01:14:29.502328455Z"'.length
/** Where year, month, day, hour and minute have their digits. */
const STAMP = [0, 1, 2, 3, 5, 6, 8, 9, 11, 12, 14, 15]
const [QUOTE, DOT, Z, ZERO] = [0x22, 0x2e, 0x5a, 0x30]

/**
 * Milliseconds since 1970 of a `time` as it stands in JSON at `bytes[start, end)`; NaN where it is none.
 * What Falco writes, always of one length, is read digit by digit.
 */
export function createClockReader(): (bytes: Buffer, start: number, end: number) => number {
  let minute = -1
  let minuteMs = 0
  return (bytes, start, end) => {
    if (start < 0 || bytes[start] !== QUOTE) return Number.NaN
    const text = start + 1
    if (end - start !== QUOTED || bytes[text + 19] !== DOT || bytes[text + 29] !== Z)
      return Date.parse(bytes.toString('latin1', text, end - 1))
    let stamp = 0
    for (let index = 0; index < STAMP.length; index++)
      stamp = stamp * 10 + digit(bytes, text + STAMP[index]!)
    if (stamp !== minute) {
      minute = stamp
      minuteMs = minuteOf(stamp)
    }
    const second = digit(bytes, text + 17) * 10 + digit(bytes, text + 18)
    const milli =
      digit(bytes, text + 20) * 100 + digit(bytes, text + 21) * 10 + digit(bytes, text + 22)
    return minuteMs + second * 1000 + milli
  }
}

/** Milliseconds since 1970 of a minute such as 202608030114; NaN where it is none. */
function minuteOf(stamp: number): number {
  const part = (place: number) => Math.floor(stamp / place) % 100
  const [year, month, day, hour, minute] = [
    Math.floor(stamp / 1e8),
    part(1e6),
    part(1e4),
    part(100),
    part(1),
  ]
  const isOne =
    year >= 1970 && month >= 1 && month <= 12 && day >= 1 && day <= 31 && hour < 24 && minute < 60
  return isOne ? Date.UTC(year, month - 1, day, hour, minute) : Number.NaN
}

/** NaN where it is none. */
function digit(bytes: Uint8Array, at: number): number {
  const value = bytes[at]! - ZERO
  return value >= 0 && value <= 9 ? value : Number.NaN
}
