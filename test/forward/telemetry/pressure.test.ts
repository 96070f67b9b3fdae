import { describe, expect, it } from 'vitest'
import { createCounters } from '../../../src/forward/accounting/counters.ts'
import { createPressureLog, type Episode, follow } from '../../../src/forward/telemetry/pressure.ts'
import { PRIORITIES } from '../../../src/shared/alert/alert.ts'
import { VITALS } from '../../support/measured.ts'
import { generator, SEED } from '../../support/random.ts'
import { recordingLog } from '../../support/recording-log.ts'

const LOOK_MS = 100

/** A forwarder whose state a test sets, looked at every 100 ms of a clock of its own. */
function setUp() {
  const counters = createCounters()
  const vitals = { ...VITALS }
  const { log, lines } = recordingLog()
  const look = createPressureLog(log, counters, 'buffer and spool', 'Falco waits')
  const clock = { now: 1000 }
  const room = { bytes: undefined as number | undefined }
  counters.read = 10
  counters.spooled = 3
  return {
    counters,
    vitals,
    clock,
    room,
    /** Lets that many seconds pass; gives what was logged meanwhile. */
    pass(seconds: number, each = () => {}) {
      lines.length = 0
      for (const end = clock.now + seconds * 1000; clock.now < end; ) {
        clock.now += LOOK_MS
        each()
        look(vitals, clock.now, room.bytes)
      }
      return [...lines]
    },
  }
}

const SUMS = { inMemory: 7, onDisk: 3 }
const messages = (lines: Record<string, unknown>[]) => lines.map(({ msg }) => msg)

it('is silent while all is well, and while reading pauses for moments', () => {
  const { counters, clock, pass } = setUp()
  const breathe = () => {
    counters.pausedSince = clock.now % 1000 < 900 ? clock.now - (clock.now % 1000) : undefined
  }
  expect(pass(300, breathe)).toEqual([])
})

describe('alerts that are dropped', () => {
  it('are logged by priority: at once, every 30 s, and when it is over', () => {
    const { counters, pass } = setUp()
    const shed = () => {
      counters.read += 2
      counters.dropped[PRIORITIES.indexOf('debug')]! += 2
    }
    counters.read++
    counters.dropped[PRIORITIES.indexOf('critical')] = 1
    const full = { full: 'buffer and spool', connected: true, ...SUMS }
    expect(pass(0.1, shed)).toMatchObject([
      {
        level: 40,
        msg: 'dropping alerts, the least severe first',
        ...full,
        dropped: { critical: 1, debug: 2 },
      },
    ])
    expect(pass(65, shed)).toMatchObject([
      { msg: 'still dropping alerts', for: '30 s', dropped: { critical: 1, debug: 602 } },
      { msg: 'still dropping alerts', for: '60 s', dropped: { critical: 1, debug: 1202 } },
    ])
    expect(pass(60)).toMatchObject([
      {
        level: 30,
        msg: 'no longer dropping alerts',
        for: '65 s',
        dropped: { critical: 1, debug: 1302 },
      },
    ])
    // The next episode counts its own.
    expect(pass(0.1, shed)).toMatchObject([{ dropped: { debug: 2 } }])
  })

  it('are one episode however they come and go', () => {
    const { counters, clock, pass } = setUp()
    const nowAndThen = () => {
      if (clock.now % 9000 === 0) counters.dropped[7]!++
    }
    const lines = pass(600, nowAndThen)
    expect(messages(lines).filter((text) => text === 'still dropping alerts')).toHaveLength(19)
    expect(lines).toHaveLength(20)
  })
})

describe('Falco that waits', () => {
  it('is logged after a second, every 30 s, and when it is over', () => {
    const { counters, clock, pass } = setUp()
    counters.pausedSince = clock.now
    expect(pass(1)).toEqual([])
    expect(pass(40)).toMatchObject([
      {
        level: 40,
        msg: 'Falco waits: there is no room for more alerts',
        falcoWaits: '1 s',
        ...SUMS,
      },
      { msg: 'Falco still waits', for: '30 s', falcoWaits: '31 s' },
    ])
    counters.pausedSince = undefined
    expect(pass(9)).toEqual([])
    expect(pass(30)).toMatchObject([{ level: 30, msg: 'Falco no longer waits', for: '40 s' }])
  })
})

describe('room that runs out', () => {
  it('is logged a minute before, and when there is as much again', () => {
    const { room, pass } = setUp()
    const MIB = 1024 * 1024
    room.bytes = 100 * MIB
    const fill = () => {
      room.bytes! -= (MIB * LOOK_MS) / 1000
    }
    expect(pass(39, fill)).toEqual([])
    expect(pass(60, fill)).toMatchObject([
      {
        level: 40,
        msg: 'no room will be left for alerts within a minute at this rate',
        full: 'buffer and spool',
        in: '60 s',
        whenFull: 'Falco waits',
        ...SUMS,
      },
    ])
    // Full: nothing changes any more.
    expect(pass(300)).toEqual([])
    const drain = () => {
      room.bytes! += (10 * MIB * LOOK_MS) / 1000
    }
    expect(pass(5, drain)).toEqual([])
    room.bytes = undefined
    expect(pass(60)).toMatchObject([{ level: 30, msg: 'room for alerts no longer runs out' }])
  })

  it('is not logged behind a burst that is over, and logged when it comes true later', () => {
    const { room, pass } = setUp()
    const take = (bytesPerSecond: number) => () => {
      room.bytes = Math.max(0, room.bytes! - (bytesPerSecond * LOOK_MS) / 1000)
    }
    room.bytes = 16e6
    expect(pass(3)).toEqual([])
    expect(pass(1, take(1.8e6))).toEqual([])
    expect(pass(600)).toEqual([])
    expect(messages(pass(60, take(3e5)))).toEqual([
      'no room will be left for alerts within a minute at this rate',
    ])
  })

  it('is over when alerts come more slowly again, and then logged once more', () => {
    const { room, pass } = setUp()
    const take = (bytesPerSecond: number) => () => {
      room.bytes! -= (bytesPerSecond * LOOK_MS) / 1000
    }
    room.bytes = 16e6
    const log = [...pass(10, take(5e5)), ...pass(60), ...pass(10, take(5e5))]
    expect(messages(log)).toEqual([
      'no room will be left for alerts within a minute at this rate',
      'room for alerts no longer runs out',
      'no room will be left for alerts within a minute at this rate',
    ])
  })

  it('is not logged in a burst, nor while as much goes as comes', () => {
    const { room, clock, pass } = setUp()
    room.bytes = 1e6
    expect(pass(2, () => (room.bytes! -= 1e4))).toEqual([])
    room.bytes = undefined
    expect(pass(10)).toEqual([])
    const sway = () => {
      room.bytes = 1e6 + 1e4 * Math.sin(clock.now / 200)
    }
    expect(pass(300, sway)).toEqual([])
  })
})

describe('NATS', () => {
  it('is repeated to be away, with what waits; the connection logs the rest', () => {
    const { counters, vitals, clock, pass } = setUp()
    vitals.connected = false
    expect(pass(20)).toEqual([])
    counters.pausedSince = clock.now
    const lines = pass(50)
    expect(messages(lines)).toEqual([
      'Falco waits: there is no room for more alerts',
      'still not connected',
      'still not connected',
    ])
    expect(lines.at(-1)).toMatchObject({ level: 40, for: '60 s', falcoWaits: '40 s', ...SUMS })
    counters.pausedSince = undefined
    vitals.connected = true
    vitals.waitingMs = 70_000
    expect(messages(pass(20))).toEqual(['Falco no longer waits'])
  })

  it('is not away for long when connections come and go between two looks', () => {
    const { counters, vitals, clock, pass } = setUp()
    vitals.connected = false
    const flap = () => {
      if (clock.now % 5000 === 0) counters.sessions++
    }
    expect(pass(100, flap)).toEqual([])
    expect(messages(pass(35))).toEqual(['still not connected'])
  })

  it('is logged when it is connected and confirms nothing', () => {
    const { vitals, pass } = setUp()
    const wait = () => {
      vitals.waitingMs += LOOK_MS
    }
    expect(messages(pass(95, wait))).toEqual([
      'NATS has confirmed nothing for 30 s',
      'NATS still confirms nothing',
      'NATS still confirms nothing',
    ])
    vitals.waitingMs = 0
    expect(messages(pass(60))).toEqual(['NATS confirms again'])
  })

  it('does not confirm again when the connection is lost', () => {
    const { vitals, pass } = setUp()
    vitals.waitingMs = 60_000
    expect(messages(pass(40))).toEqual(['NATS has confirmed nothing for 30 s'])
    vitals.connected = false
    expect(pass(20)).toEqual([])
  })
})

it('has at most three lines in the quiet time of an episode, whatever is seen', () => {
  const quietMs = 10_000
  const random = generator(SEED)
  let episode: Episode | undefined
  const at: number[] = []
  for (let now = 0; now < 3_600_000; now += LOOK_MS) {
    const [next, turn] = follow(episode, random(150) === 0, now, quietMs)
    episode = next
    if (turn) at.push(now)
  }
  expect(at.length).toBeGreaterThan(20)
  for (let index = 3; index < at.length; index++)
    expect(at[index]! - at[index - 3]!).toBeGreaterThanOrEqual(quietMs)
})
