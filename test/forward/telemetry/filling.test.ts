import { expect, it } from 'vitest'
import { lastsMs, type Room, remember } from '../../../src/forward/telemetry/filling.ts'

/** Of room that changes by so many bytes a second, a sample each 100 ms. */
function roomsOver(seconds: number, start: number, perSecond: number): readonly Room[] {
  let rooms: readonly Room[] = []
  for (let at = 0; at <= seconds * 1000; at += 100)
    rooms = remember(rooms, { at, bytes: start + (perSecond * at) / 1000 })
  return rooms
}

it.each([
  ['that gets less', 5, 1000, -100, 5_000],
  ['of the last ten seconds only', 1000, 1_000_000, -100, 9_000_000],
  ['that is used up', 10, 1000, -100, 0],
  ['that gets less for too short a time', 2, 1000, -100, Number.POSITIVE_INFINITY],
  ['that stays', 10, 1000, 0, Number.POSITIVE_INFINITY],
  ['that gets more', 10, 1000, 100, Number.POSITIVE_INFINITY],
  ['never seen', -1, 0, 0, Number.POSITIVE_INFINITY],
])('sees how long room lasts %s', (_, seconds, start, perSecond, lasts) => {
  expect(lastsMs(roomsOver(seconds, start, perSecond))).toBeCloseTo(lasts)
})

it('keeps a sample a second, of ten seconds', () => {
  const rooms = roomsOver(60, 1000, -1)
  expect(rooms.map(({ at }) => at)).toEqual(Array.from({ length: 11 }, (_, n) => 50_000 + 1000 * n))
})
