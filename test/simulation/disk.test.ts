// The simulated disk: lives that end at any access, and what each fault does to a spool.

import { describe, expect, it } from 'vitest'
import type { Spool } from '../../src/forward/buffer/spool/spool.ts'
import { FatalError } from '../../src/shared/errors.ts'
import { lineOf } from './alerts.ts'
import { createDisk } from './disk.ts'
import { DISK_FAULTS } from './disk-faults.ts'
import type { Parameters } from './fault.ts'
import { createRandom } from './random.ts'
import { createVirtualTime } from './virtual-clock.ts'

const MIB = 1024 * 1024
const LIMIT = 8 * MIB

type TestWorld = ReturnType<typeof createWorld>

function createWorld(limitBytes = LIMIT) {
  const time = createVirtualTime()
  const random = (topic: string) => createRandom(1, topic)
  const disk = createDisk({ time, random, trace() {}, violated() {} }, { limitBytes })
  const dropped: string[] = []
  disk.onDrop((numbers, why) => dropped.push(`${why} ${numbers.join(' ')}`))

  /** Until it is killed, at once or at a step. */
  function life() {
    let left = Number.POSITIVE_INFINITY
    const isAlive = () => left > 0
    const killIn = (steps: number): void => {
      left = steps
    }
    return {
      number: 1,
      isAlive,
      clock: time.clockFor(isAlive),
      step: () => killIn(left - 1),
      kill: () => killIn(0),
      killIn,
    }
  }

  return {
    time,
    disk,
    dropped,
    life,
    open: (by = life(), limit = LIMIT) => disk.openSpool(by)('/spool', limit),
    strike: (kind: string, parameters: Parameters = {}) =>
      DISK_FAULTS[kind]!.strike(disk, { ms: 1000, ...parameters }),
    pass: (ms: number) => time.block(ms),
    stored: () => disk.stored().map(({ numbers }) => numbers),
  }
}

/** The lines of alerts with these numbers. */
const linesOf = (...numbers: number[]) =>
  Buffer.from(
    numbers
      .map((number) => `${lineOf({ number, at: 0, severity: 5, rule: 1, length: 0 })}\n`)
      .join(''),
  )
const put = (spool: Spool, ...numbers: number[]) =>
  spool.append(linesOf(...numbers), numbers.length, 5)

const numbersIn = (lines: Uint8Array) =>
  [...String(Buffer.from(lines)).matchAll(/alert (\d+) /g)].map(([, number]) => Number(number))

/** The alerts that can be read of it, row by row. */
function drain(spool: Spool): number[][] {
  const rows = []
  for (let row = spool.after(0); row; row = spool.after(0)) {
    rows.push(numbersIn(row.lines))
    spool.release(row)
  }
  return rows
}

/** Result codes of node:sqlite. */
const [READONLY, IOERR_READ, IOERR_WRITE, IOERR_FSYNC, CORRUPT, FULL] = [8, 266, 778, 1034, 11, 13]
const failure = (errcode: number) => expect.objectContaining({ errcode })

describe('a life', () => {
  it('finds what the ones before it have committed', async () => {
    const world = createWorld()
    {
      using spool = await world.open()
      for (const number of [1, 2, 3]) put(spool, number, number + 10)
      spool.release(spool.after(0)!)
    }
    expect(world.stored()).toEqual([
      [2, 12],
      [3, 13],
    ])
    using spool = await world.open()
    expect([spool.rows(), spool.alerts(), drain(spool)]).toEqual([
      2,
      4,
      [
        [2, 12],
        [3, 13],
      ],
    ])
  })

  it('has the file for itself, as long as it lives', async () => {
    const world = createWorld()
    const first = world.life()
    await world.open(first)
    await expect(world.open()).rejects.toThrow(FatalError)
    first.kill()
    using spool = await world.open()
    expect(spool.rows()).toBe(0)
  })

  it('has no effect after its end', async () => {
    const world = createWorld()
    const life = world.life()
    const spool = await world.open(life)
    put(spool, 1)
    life.kill()
    expect(() => put(spool, 2)).toThrow('not open')
    expect(() => spool.remove({ id: 1, alerts: 1, bytes: 1 })).toThrow('not open')
    world.disk.crash()
    using next = await world.open()
    expect(() => put(spool, 3)).toThrow('not open')
    spool[Symbol.dispose]()
    expect(drain(next)).toEqual([[1]])
  })

  it('ends before or after an access: either it has not happened, or it has', async () => {
    const found = []
    for (const steps of [1, 2, 3]) {
      const world = createWorld()
      const life = world.life()
      const spool = await world.open(life)
      put(spool, 1)
      life.killIn(steps)
      let isTold = false
      try {
        put(spool, 2)
        isTold = true
      } catch {}
      found.push([isTold, world.stored()])
    }
    expect(found).toEqual([
      [false, [[1]]],
      [false, [[1], [2]]],
      [true, [[1], [2]]],
    ])
  })

  it('ends within a transaction, which is then undone as a whole', async () => {
    const seen = new Set<string>()
    for (let steps = 1; steps < 40; steps++) {
      const world = createWorld()
      const life = world.life()
      const spool = await world.open(life)
      for (const number of [1, 2, 3]) put(spool, number)
      world.strike('diskLinesFlipped', { row: 0, at: 0.5, bit: 0, atCrash: false })
      life.killIn(steps)
      try {
        spool.after(0)
      } catch {}
      seen.add(JSON.stringify([world.stored(), world.disk.aside().length, world.dropped]))
    }
    expect([...seen]).toEqual([
      JSON.stringify([[[1], [2], [3]], 0, []]),
      JSON.stringify([[[2], [3]], 1, ['aside 1']]),
    ])
  })
})

it('tells what leaves the table, and why', async () => {
  const world = createWorld()
  using spool = await world.open()
  const rows = [put(spool, 1, 2), put(spool, 3), put(spool, 4, 5, 6)]
  spool.replace(rows[2]!, linesOf(4, 6), 2, 5)
  spool.keepCopy({ alerts: 2, lines: linesOf(1, 2) })
  spool.release(rows[0]!)
  spool.remove(rows[1]!)
  expect(world.dropped).toEqual(['updated 5', 'dropped 1 2', 'dropped 3'])
  expect(world.disk.stored()).toEqual([{ id: 3, numbers: [4, 6], isIntact: true, leastSevere: 5 }])
})

describe('a fault', () => {
  const cases: [kind: string, errcodes: (number | undefined)[]][] = [
    //                      append      after        release
    ['diskFull', [FULL, undefined, undefined]],
    ['diskFullToTheBrim', [FULL, undefined, FULL]],
    ['diskReadOnly', [READONLY, undefined, READONLY]],
    ['diskFails', [IOERR_WRITE, IOERR_READ, IOERR_WRITE]],
    ['diskReadsFail', [undefined, IOERR_READ, undefined]],
    ['diskReadsGarbage', [undefined, CORRUPT, undefined]],
    ['diskWritesFail', [IOERR_WRITE, undefined, IOERR_WRITE]],
    ['diskRemovesFail', [undefined, undefined, IOERR_WRITE]],
    ['diskSyncsFail', [IOERR_FSYNC, undefined, IOERR_FSYNC]],
  ]
  it.each(cases)('fails accesses for a while: %s', async (kind, errcodes) => {
    const world = createWorld()
    using spool = await world.open()
    const row = put(spool, 1)
    const seen = () =>
      [() => put(spool, 2), () => spool.after(0), () => spool.release(row)].map((access) => {
        try {
          access()
          return undefined
        } catch (error) {
          return (error as { errcode: number }).errcode
        }
      })
    world.strike(kind)
    expect(seen()).toEqual(errcodes)
    const readsFail = errcodes[1] !== undefined
    expect(spool.readFailure()).toEqual(
      readsFail ? expect.objectContaining({ code: 'EIO' }) : undefined,
    )
    expect(world.stored().flat().includes(1)).toBe(errcodes[2] !== undefined)
    world.pass(1000)
    expect(seen()).toEqual([undefined, undefined, undefined])
    world.strike(kind)
    world.disk.heal()
    expect(seen()).toEqual([undefined, undefined, undefined])
    expect([...world.disk.destroyed]).toEqual([])
  })

  it('makes the opening fail', async () => {
    for (const [kind, code] of [
      ['diskReadOnly', 'EROFS'],
      ['diskReadsFail', 'ERR_SQLITE_ERROR'],
      ['diskReadsGarbage', 'EIO'],
      ['diskFull', 'ERR_SQLITE_ERROR'],
    ] as const) {
      const world = createWorld()
      world.strike(kind)
      await expect(world.open()).rejects.toMatchObject({ code })
      world.disk.heal()
      using spool = await world.open()
      expect([spool.rows(), spool.movedAside]).toEqual([0, undefined])
    }
  })

  it('blocks the process: diskSlow', async () => {
    const world = createWorld()
    const life = world.life()
    world.strike('diskSlow', { accessMs: 70, openingMs: 400 })
    const opening = world.open(life)
    while (world.time.next());
    using spool = await opening
    expect(world.time.now()).toBeGreaterThanOrEqual(400)
    const before = world.time.now()
    put(spool, 1)
    expect(world.time.now() - before).toBe(70)
    world.disk.heal()
    put(spool, 2)
    expect(world.time.now() - before).toBe(70)
  })

  it('takes the last commits when the power goes: diskSyncsLie', async () => {
    for (const areSeen of [true, false]) {
      const world = createWorld()
      const spool = await world.open()
      const first = put(spool, 1)
      world.strike('diskSyncsLie', { commits: 2, areSeen })
      for (const number of [2, 3]) put(spool, number)
      spool.release(first)
      world.disk.powerCut()
      expect(world.stored()).toEqual([[1], [2]])
      expect([...world.disk.destroyed]).toEqual([3])
      using next = await world.open()
      expect(next.cutLog !== undefined).toBe(areSeen)
      expect(drain(next)).toEqual([[1], [2]])
    }
  })

  it.each<[string, (world: TestWorld, spool: Spool) => void]>([
    ['when the process alone is killed', ({ disk }) => disk.crash()],
    [
      'after a sync that was done',
      ({ disk, pass }, spool) => {
        pass(1000)
        put(spool, 2)
        disk.powerCut()
      },
    ],
    [
      'after its end',
      ({ disk }) => {
        disk.heal()
        disk.powerCut()
      },
    ],
  ])('takes no commits %s: diskSyncsLie', async (_, end) => {
    const world = createWorld()
    const spool = await world.open()
    world.strike('diskSyncsLie', { commits: 9, areSeen: true })
    put(spool, 1)
    end(world, spool)
    expect(world.stored()).toContainEqual([1])
  })

  it('lets a row come back of which a crash decides: diskSyncsFail', async () => {
    const world = createWorld()
    const spool = await world.open()
    world.strike('diskSyncsFail')
    expect(() => put(spool, 1)).toThrow('I/O')
    expect(world.stored()).toEqual([])
    world.disk.crash()
    expect(world.stored()).toEqual([[1]])
  })

  it.each([
    ['diskRowTorn', { at: 0.5 }],
    ['diskRowTorn', { at: 0.9999 }],
    ['diskLinesFlipped', { at: 0.3, bit: 1 }],
    ['diskChecksumFlipped', { bit: 31 }],
  ])('damages a row at a crash, which is then kept aside: %s', async (kind, parameters) => {
    const world = createWorld()
    const spool = await world.open()
    for (const number of [1, 2, 3]) put(spool, number, number + 10)
    world.strike(kind, { ...parameters, row: 0.5 })
    expect(spool.after(1)!.alerts).toBe(2)
    world.disk.crash()
    expect(world.disk.stored().map(({ isIntact }) => isIntact)).toEqual([true, false, true])
    expect([...world.disk.destroyed]).toEqual([2, 12])
    using next = await world.open()
    expect(next.damaged()).toEqual({ rows: 1, alerts: 2 })
    expect(world.dropped).toEqual(['aside 2 12'])
    expect(drain(next)).toEqual([
      [1, 11],
      [3, 13],
    ])
  })

  it.each([
    ['diskCountFlipped', { bit: 9 }],
    ['diskSeverityFlipped', { bit: 7 }],
  ])('damages what the opening repairs: %s', async (kind, parameters) => {
    const world = createWorld()
    put(await world.open(), 1, 2)
    world.strike(kind, { ...parameters, row: 0 })
    world.disk.crash()
    using spool = await world.open()
    expect([spool.alerts(), spool.damaged().rows, world.disk.destroyed.size]).toEqual([2, 0, 0])
    expect(spool.leastSevereAfter(0)).toBeLessThan(8)
    expect(drain(spool)).toEqual([[1, 2]])
  })

  it('damages the file, which the next opening moves aside: diskCorrupt', async () => {
    for (const atCrash of [true, false]) {
      const world = createWorld()
      const spool = await world.open()
      put(spool, 1, 2)
      world.strike('diskCorrupt', { atCrash })
      if (atCrash) put(spool, 3)
      else expect(() => put(spool, 3)).toThrow(failure(CORRUPT))
      world.disk.crash()
      const lost = atCrash ? [1, 2, 3] : [1, 2]
      expect([...world.disk.destroyed]).toEqual(lost)
      using next = await world.open()
      expect([next.rows(), next.movedAside]).toEqual([0, expect.stringMatching(/damaged-2026/)])
      expect(world.disk.movedAside()).toEqual([{ path: next.movedAside, numbers: lost }])
      put(next, 4)
      expect(world.stored()).toEqual([[4]])
    }
  })

  it('is the limit itself, or that of the disk', async () => {
    for (const [disk, limit] of [
      [64 * MIB, 2 * MIB],
      [1 * MIB, 64 * MIB],
    ] as const) {
      const world = createWorld(disk)
      using spool = await world.open(world.life(), limit)
      const lines = Buffer.alloc(50_000, '\n')
      expect(() => {
        for (;;) spool.append(lines, 1, 5)
      }).toThrow(failure(FULL))
      const rows = spool.rows()
      expect(rows).toBeGreaterThan(15)
      expect(world.disk.bytes()).toBeLessThanOrEqual(MIB)
      spool.remove(spool.after(0)!)
      spool.append(lines, 1, 5)
      expect(() => spool.append(lines, 1, 5)).toThrow(failure(FULL))
      expect(world.disk.stored()).toHaveLength(rows)
    }
  })

  it('of each kind can be drawn and strikes, on a disk with a spool and without', async () => {
    for (const [kind, { draw }] of Object.entries(DISK_FAULTS))
      for (let seed = 0; seed < 50; seed++) {
        const world = createWorld()
        const random = createRandom(seed, kind)
        world.strike(kind, { ...draw(random) })
        world.disk.heal()
        {
          using spool = await world.open()
          for (const number of [1, 2, 3]) put(spool, number)
          world.strike(kind, { ...draw(random) })
        }
        world.disk.powerCut()
        world.disk.heal()
        using spool = await world.open()
        const left = new Set(drain(spool).flat())
        const missing = [1, 2, 3].filter((number) => !left.has(number))
        for (const number of missing) expect(world.disk.destroyed).toContain(number)
      }
  })
})
