// When buffer and spool will be full at the present rate, from how the room in them has changed in the last seconds.

/** Bytes that they can still take, at a time. */
export interface Room {
  readonly at: number
  readonly bytes: number
}

const STEP_MS = 1_000
const SPAN_MS = 10_000
/** A rate over less is a burst's: it may be over before a line in the log is read. */
const SPAN_MIN_MS = 5_000

/** Adds the room of now, once a second; forgets what is too old. */
export function remember(rooms: readonly Room[], now: Room): readonly Room[] {
  const last = rooms.at(-1)
  if (last !== undefined && now.at - last.at < STEP_MS) return rooms
  return [...rooms.filter(({ at }) => now.at - at <= SPAN_MS), now]
}

/** How long the room lasts, in ms; infinite while it does not get less. */
export function lastsMs(rooms: readonly Room[]): number {
  const [first, last] = [rooms[0], rooms.at(-1)]
  if (first === undefined || last === undefined) return Number.POSITIVE_INFINITY
  const spanMs = last.at - first.at
  const taken = first.bytes - last.bytes
  if (spanMs < SPAN_MIN_MS || taken <= 0) return Number.POSITIVE_INFINITY
  return (last.bytes * spanMs) / taken
}
