// When buffer and spool will be full at the present rate, from how the room in them has changed in the last seconds.

/** Bytes that they can still take, at a time. */
export interface Room {
  readonly at: number
  readonly bytes: number
}

const STEP_MS = 1_000
const SPAN_MS = 10_000
/** What takes room for less is a burst: it may be over before a line in the log is read. */
const FILLING_MIN_MS = 5_000

/** Adds the room of now, once a second; forgets what is too old. */
export function remember(rooms: readonly Room[], now: Room): readonly Room[] {
  const last = rooms.at(-1)
  if (last !== undefined && now.at - last.at < STEP_MS) return rooms
  return [...rooms.filter(({ at }) => now.at - at <= SPAN_MS), now]
}

/** How long the room lasts, in ms; infinite unless it has got less in each step of some seconds. */
export function lastsMs(rooms: readonly Room[]): number {
  const kept = rooms.findLastIndex(({ bytes }, index) => bytes <= (rooms[index + 1]?.bytes ?? -1))
  const [first, last] = [rooms[kept + 1], rooms.at(-1)]
  if (first === undefined || last === undefined) return Number.POSITIVE_INFINITY
  const ms = last.at - first.at
  return ms < FILLING_MIN_MS
    ? Number.POSITIVE_INFINITY
    : (last.bytes * ms) / (first.bytes - last.bytes)
}
