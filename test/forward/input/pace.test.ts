import { describe, expect, it } from 'vitest'
import { firstPace, type Pace, paceAfter } from '../../../src/forward/input/pace.ts'

const KIB = 1024

/** A writer of lines at a steady rate into a pipe, and the looks that follow the pace. */
function run(options: {
  perSecond: number
  bytes: number
  ms: number
  pipe?: number
  late?: number
  from?: { pace: Pace; now: number; lines: number }
}) {
  const { perSecond, bytes, ms, pipe = 64 * KIB, late = 0.6 } = options
  let { pace, now, lines } = options.from ?? { pace: firstPace(0), now: 0, lines: 0 }
  const end = now + ms
  let [looks, waited, fullest] = [0, 0, 0]
  while (now < end) {
    const wait = pace.pauseMs === 0 ? 1000 / perSecond : pace.pauseMs + late
    now += wait
    const come = (wait * perSecond) / 1000
    const found = Math.min(come, Math.floor(pipe / bytes))
    if (found < come) waited += ((come - found) * 1000) / perSecond
    fullest = Math.max(fullest, found * bytes)
    lines += found
    pace = paceAfter(pace, { now, bytes: found * bytes, lines })
    looks++
  }
  return { pace, now, lines, looks, waited, fullest }
}

it.each([10, 100, 200, 400])('waits for events at %i alerts a second', (perSecond) => {
  const { pace, looks } = run({ perSecond, bytes: 1000, ms: 10_000 })
  expect(pace.pauseMs).toBe(0)
  expect(looks).toBeGreaterThanOrEqual(10 * perSecond - 1)
})

it('does not delay a lone burst of ten', () => {
  const before = run({ perSecond: 100, bytes: 1000, ms: 1_000 })
  const burst = run({ perSecond: 10_000, bytes: 1000, ms: 1, from: before })
  expect(burst.pace.pauseMs).toBe(0)
})

describe.each([
  [1_000, 1000, 5],
  [8_000, 1000, 3],
  [8_800, 750, 4],
  [20_000, 1000, 1],
])('at %i alerts a second of %i bytes', (perSecond, bytes, pauseMs) => {
  it(`pauses ${pauseMs} ms`, () => {
    const { pace, looks, waited, fullest } = run({ perSecond, bytes, ms: 5_000 })
    expect(pace.pauseMs).toBe(pauseMs)
    expect(looks).toBeLessThan(5_000 / pauseMs)
    expect(waited).toBe(0)
    expect(fullest).toBeLessThan(33 * KIB)
  })

  it('ends soon after it has become quiet', () => {
    const busy = run({ perSecond, bytes, ms: 1_000 })
    expect(busy.pace.pauseMs).toBeGreaterThan(0)
    let { pace, now } = busy
    const quietFrom = now
    while (pace.pauseMs > 0) {
      now += pace.pauseMs
      pace = paceAfter(pace, { now, bytes: 0, lines: busy.lines })
    }
    expect(now - quietFrom).toBeLessThan(90)
  })
})

it.each([2, 10, 100])('waits for events of a burst of %i reads', (reads) => {
  let pace = firstPace(0)
  for (let at = 1; at <= reads; at++)
    pace = paceAfter(pace, { now: at / 4, bytes: 64 * KIB, lines: 64 * at })
  expect(pace.pauseMs).toBe(0)
})

it('waits for events where each brings much: a pause would save none', () => {
  const { pace } = run({ perSecond: 600, bytes: 30 * KIB, ms: 5_000 })
  expect(pace.pauseMs).toBe(0)
})

it('waits for events where a pause would save less than one of two', () => {
  const { pace } = run({ perSecond: 1_500, bytes: 10 * KIB, ms: 5_000 })
  expect(pace.pauseMs).toBe(0)
})

it.each([
  [200, 0],
  [300, 5],
])('at %i alerts a second, down from more, pauses %i ms', (perSecond, pauseMs) => {
  const before = run({ perSecond: 1_000, bytes: 1000, ms: 1_000 })
  expect(before.pace.pauseMs).toBe(5)
  const { pace } = run({ perSecond, bytes: 1000, ms: 1_000, from: before })
  expect(pace.pauseMs).toBe(pauseMs)
})

it('looks at once, then with every event, where it finds a pipe full', () => {
  const { pace, now, lines } = run({ perSecond: 1_000, bytes: 1000, ms: 1_000 })
  const full = { bytes: 64 * KIB, lines: lines + 64 }
  const once = paceAfter(pace, { ...full, now: now + pace.pauseMs })
  expect(once.pauseMs).toBe(1)
  const again = { ...full, lines: lines + 128, now: now + pace.pauseMs + 1 }
  expect(paceAfter(once, again).pauseMs).toBe(0)
})

it('hardly makes the writer wait when the rate goes up at once', () => {
  const before = run({ perSecond: 1_000, bytes: 1000, ms: 1_000 })
  // Alerts that take twice their room.
  const { waited, pace } = run({
    perSecond: 9_000,
    bytes: 2100,
    ms: 1_000,
    pipe: 33 * KIB,
    from: before,
  })
  expect(waited).toBeLessThan(10)
  expect(pace.pauseMs).toBe(1)
})

it.each([0, 1000])('keeps its pace at a second look in the same moment, with %i bytes', (bytes) => {
  const busy = run({ perSecond: 1_000, bytes: 1000, ms: 1_000 })
  let { pace, now, lines } = busy
  const look = () => paceAfter(pace, { now, bytes, lines })
  // Whenever that is in a window.
  for (let n = 0; n < 20; n++) {
    expect(look().pauseMs).toBe(5)
    now += 5
    lines += 5
    pace = paceAfter(pace, { now, bytes: 5_000, lines })
  }
})

it('never pauses for long, nor for anything but whole milliseconds', () => {
  let pace = firstPace(0)
  let [now, lines] = [0, 0]
  const pauses = new Set<number>()
  for (let n = 0; n < 100_000; n++) {
    now += pace.pauseMs + ((n * 7919) % 997) / 997
    lines += n % 13
    const most = n % 2000 < 1000 ? 2 * KIB : 64 * KIB
    pace = paceAfter(pace, { now, bytes: (n * 104_729) % most, lines })
    pauses.add(pace.pauseMs)
  }
  expect([...pauses].sort()).toEqual([0, 1, 2, 3, 4, 5])
})
