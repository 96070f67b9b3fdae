// How long to leave an input alone between two looks, as network cards do with interrupts: each alert that comes by itself
// costs a wake-up, a read and a write, so many of them had better be fetched together.

/** A longer one would be felt, and save little more. */
const PAUSE_MS_MAX = 5
const WINDOW_MS = 40
/** Events in a window from which on it pauses: 500 a second, and more than a lone burst of ten alerts. */
const EVENTS_MIN = 20
/** How many of them a pause has to replace. */
const EVENTS_SAVED_MIN = 2
/** Below 250 lines a second it no longer does. */
const LINES_PER_MS_MIN = 0.25
/** What a pipe of 64 KiB holds in any case: an alert of half a page and a byte takes a whole one of its 16. */
const ROOM_MAX = 32 * 1024
/** What any pipe holds: the kernel gives but a page to a user who has very many (pipe(7)). */
const ROOM_MIN = 4096
/** So much of the room may fill in a pause; the rest is for a timer that is late, and a rate that goes up. */
const SHARE = 7 / 8

export interface Pace {
  /** Until the next look; 0: whenever something comes. */
  readonly pauseMs: number
  /** Bytes for which the pipe has room, as far as is known: so many were found in it. */
  readonly room: number
  /** The window: when it began, how many looks there were in it, and what they found. */
  readonly since: number
  readonly looks: number
  readonly bytes: number
  /** Found before the window. */
  readonly linesBefore: number
}

/** An event, or the end of a pause: all that was there is read. */
export interface Look {
  readonly now: number
  /** Found by this one. */
  readonly bytes: number
  /** Found by all of them. */
  readonly lines: number
}

export const firstPace = (now: number): Pace => newWindow(0, ROOM_MIN, { now, bytes: 0, lines: 0 })

export function paceAfter(before: Pace, look: Look): Pace {
  const { pauseMs, since, linesBefore } = before
  const room = Math.min(ROOM_MAX, Math.max(before.room, look.bytes))
  const looks = before.looks + 1
  const bytes = before.bytes + look.bytes
  const ms = look.now - since
  const isOver = ms >= WINDOW_MS
  const next = Math.min(PAUSE_MS_MAX, Math.floor((SHARE * room * ms) / bytes))
  if (pauseMs === 0) {
    if (isOver) return newWindow(0, room, look)
    if (looks < EVENTS_MIN) return { ...before, room, looks, bytes }
    return newWindow(next * looks < EVENTS_SAVED_MIN * ms ? 0 : next, room, look)
  }
  if (isOver && look.lines - linesBefore < LINES_PER_MS_MIN * ms) return newWindow(0, room, look)
  // It may have been full, and its writer may have waited with more than anybody knows.
  if (look.bytes >= before.room) return newWindow(pauseMs > 1 ? 1 : 0, room, look)
  if (isOver || next === 0) return newWindow(next, room, look)
  return { ...before, pauseMs: next, room, looks, bytes }
}

const newWindow = (pauseMs: number, room: number, { now, lines }: Look): Pace => ({
  pauseMs,
  room,
  since: now,
  looks: 0,
  bytes: 0,
  linesBefore: lines,
})
