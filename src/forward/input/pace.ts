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
/** So much may be a full pipe of 64 KiB: an alert of half a page and a byte takes a whole one of its 16 pages … */
const FULL_BYTES = 32 * 1024
/** … and so much may come in a pause: the rest is for a timer that is late, and a rate that goes up. */
const PAUSE_BYTES = 28 * 1024

export interface Pace {
  /** Until the next look; 0: whenever something comes. */
  readonly pauseMs: number
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

export const firstPace = (now: number): Pace => newWindow(0, { now, bytes: 0, lines: 0 })

export function paceAfter(before: Pace, look: Look): Pace {
  const looks = before.looks + 1
  const bytes = before.bytes + look.bytes
  const ms = look.now - before.since
  const isOver = ms >= WINDOW_MS
  const pauseMs = Math.min(PAUSE_MS_MAX, Math.floor((PAUSE_BYTES * ms) / bytes))
  if (before.pauseMs === 0) {
    if (isOver) return newWindow(0, look)
    if (looks < EVENTS_MIN) return { ...before, looks, bytes }
    return newWindow(pauseMs * looks < EVENTS_SAVED_MIN * ms ? 0 : pauseMs, look)
  }
  if (isOver && look.lines - before.linesBefore < LINES_PER_MS_MIN * ms) return newWindow(0, look)
  // Its writer may have waited with more than anybody knows.
  if (look.bytes >= FULL_BYTES) return newWindow(before.pauseMs > 1 ? 1 : 0, look)
  // The sink had room again in the moment of the last look: that says nothing of a rate.
  if (ms < 1) return { ...before, looks, bytes }
  if (isOver || pauseMs === 0) return newWindow(pauseMs, look)
  return { ...before, pauseMs, looks, bytes }
}

const newWindow = (pauseMs: number, { now, lines }: Look): Pace => ({
  pauseMs,
  since: now,
  looks: 0,
  bytes: 0,
  linesBefore: lines,
})
