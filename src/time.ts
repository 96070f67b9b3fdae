// When an alert was raised, as a number.

const PREFIX = '2026-08-03T01:14:'.length
const LENGTH = '2026-08-03T01:14:29.502328455Z'.length
const [ZERO, DOT, Z] = [0x30, 0x2e, 0x5a]

/**
 * Milliseconds since 1970 of an alert's `time`; NaN where it is none. What Falco writes, always of one
 * length, is read digit by digit: `Date.parse` takes 0.2 µs, this a third of it.
 */
export function createClockReader(): (time: unknown) => number {
  let minute = ''
  let minuteMs = 0
  return (time) => {
    if (typeof time !== 'string') return Number.NaN
    const isFalcos =
      time.length === LENGTH && time.charCodeAt(19) === DOT && time.charCodeAt(LENGTH - 1) === Z
    if (!isFalcos) return Date.parse(time)
    if (minute === '' || !time.startsWith(minute)) {
      minute = time.slice(0, PREFIX)
      minuteMs = Date.parse(`${minute}00Z`)
    }
    return (
      minuteMs +
      digit(time, 17) * 10_000 +
      digit(time, 18) * 1000 +
      digit(time, 20) * 100 +
      digit(time, 21) * 10 +
      digit(time, 22)
    )
  }
}

/** NaN where it is none. */
function digit(text: string, at: number): number {
  const value = text.charCodeAt(at) - ZERO
  return value >= 0 && value <= 9 ? value : Number.NaN
}
