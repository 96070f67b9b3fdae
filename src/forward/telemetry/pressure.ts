// Trouble that lasts, or comes: room runs out, alerts are dropped, Falco waits, NATS is away or confirms nothing. The log
// gets a line when it begins, one every 30 s with the sums so far, and one when it is over.

import type { Logger } from '../../shared/log.ts'
import {
  byPriority,
  type Counters,
  held,
  nonZero,
  pausedFor,
  totalDropped,
} from '../accounting/counters.ts'
import type { Vitals } from '../delivery/sink.ts'
import { lastsMs, type Room, remember } from './filling.ts'

const AGAIN_MS = 30_000
/** Drops and pauses come and go; they are over when none was seen for this long. */
const QUIET_MS = 10_000
const WARNED_MS = 60_000
/** Reading pauses for less in any flood. */
const FALCO_WAITS_MS = 1_000

export interface Episode {
  readonly begunAt: number
  readonly seenAt: number
  readonly loggedAt: number
}

export type Turn = 'begins' | 'lasts' | 'ends'

/** The episode at `now`, and which line is due: no more than three in `quietMs`. */
export function follow(
  episode: Episode | undefined,
  isSeen: boolean,
  now: number,
  quietMs: number,
): readonly [Episode | undefined, Turn?] {
  if (episode === undefined)
    return isSeen ? [{ begunAt: now, seenAt: now, loggedAt: now }, 'begins'] : [undefined]
  const seenAt = isSeen ? now : episode.seenAt
  if (!isSeen && now - seenAt >= quietMs) return [undefined, 'ends']
  if (now - episode.loggedAt < AGAIN_MS) return [{ ...episode, seenAt }]
  return [{ ...episode, seenAt, loggedAt: now }, 'lasts']
}

/** The lines of one trouble; a turn without one is logged elsewhere. */
type Lines = Partial<Record<Turn, string>>

const DROPPING: Lines = {
  begins: 'dropping alerts, the least severe first',
  lasts: 'still dropping alerts',
  ends: 'no longer dropping alerts',
}
const WAITING: Lines = {
  begins: 'Falco waits: there is no room for more alerts',
  lasts: 'Falco still waits',
  ends: 'Falco no longer waits',
}
const FILLING: Lines = {
  begins: 'no room will be left for alerts within a minute at this rate',
  ends: 'room for alerts no longer runs out',
}
const AWAY: Lines = { lasts: 'still not connected' }
const SILENT: Lines = {
  begins: `NATS has confirmed nothing for ${AGAIN_MS / 1000} s`,
  lasts: 'NATS still confirms nothing',
  ends: 'NATS confirms again',
}

/**
 * `full` names the stores that are full when there is no room, `whenFull` what happens then. The publisher calls the result
 * every 100 ms.
 */
export function createPressureLog(log: Logger, counters: Counters, full: string, whenFull: string) {
  const episodes = new Map<Lines, Episode>()
  let droppedSeen = 0
  let droppedBefore: readonly number[] = [...counters.dropped]
  let connectedAt = 0
  let sessionsSeen = 0
  let rooms: readonly Room[] = []
  /** In bytes. */
  let roomWhenWarned = 0

  /** Whether room runs out soon, or is as good as used up since then. */
  function fills(roomBytes: number | undefined, now: number): boolean {
    // Nothing is held.
    if (roomBytes === undefined) {
      rooms = []
      return false
    }
    rooms = remember(rooms, { at: now, bytes: roomBytes })
    if (lastsMs(rooms) < WARNED_MS) {
      if (!episodes.has(FILLING)) roomWhenWarned = roomBytes
      return true
    }
    return episodes.has(FILLING) && roomBytes < roomWhenWarned / 4
  }

  return ({ connected, waitingMs }: Vitals, now: number, roomBytes: number | undefined): void => {
    function look(lines: Lines, isSeen: boolean, quietMs: number, detail: () => object): void {
      const before = episodes.get(lines)
      const [after, turn] = follow(before, isSeen, now, quietMs)
      if (after) episodes.set(lines, after)
      else episodes.delete(lines)
      // While NATS is the reason, its line has how long Falco waits.
      const isKnown = lines === WAITING && (episodes.has(AWAY) || episodes.has(SILENT))
      const message = turn && lines[turn]
      if (message === undefined || (turn === 'lasts' && isKnown)) return
      const lasted = before && (after ? now : before.seenAt) - before.begunAt
      const sums = { inMemory: held(counters) - counters.spooled, onDisk: counters.spooled }
      const fields = { ...(lasted && { for: seconds(lasted) }), ...detail(), ...sums }
      log[turn === 'ends' ? 'info' : 'warn'](fields, message)
    }

    const pausedMs = pausedFor(counters, now)
    const falcoWaits = pausedMs > FALCO_WAITS_MS
    const waits = falcoWaits ? { falcoWaits: seconds(pausedMs) } : {}
    if (!connected) {
      connectedAt = now
      episodes.delete(SILENT)
    }
    // A connection may come and go between two looks.
    if (counters.sessions > sessionsSeen) episodes.delete(AWAY)
    sessionsSeen = counters.sessions
    look(AWAY, !connected, 0, () => waits)
    const unconfirmedMs = Math.min(waitingMs, now - connectedAt)
    look(SILENT, connected && unconfirmedMs >= AGAIN_MS, 0, () => waits)
    look(FILLING, fills(roomBytes, now), QUIET_MS, () => {
      const leftMs = lastsMs(rooms)
      return { full, connected, ...(leftMs < WARNED_MS && { in: seconds(leftMs), whenFull }) }
    })
    look(WAITING, falcoWaits, QUIET_MS, () => ({ full, connected, ...waits }))
    const dropped = totalDropped(counters)
    look(DROPPING, dropped > droppedSeen, QUIET_MS, () => {
      const added = counters.dropped.map((count, index) => count - droppedBefore[index]!)
      return { full, connected, dropped: nonZero(byPriority(added)) }
    })
    droppedSeen = dropped
    if (!episodes.has(DROPPING)) droppedBefore = [...counters.dropped]
  }
}

export const seconds = (milliseconds: number) => `${Math.round(milliseconds / 1000)} s`
