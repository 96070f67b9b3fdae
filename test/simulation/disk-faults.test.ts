// What each fault does to a spool on the simulated disk.

import { describe, expect, it } from 'vitest'
import type { Spool } from '../../src/forward/buffer/spool/spool.ts'
import { DISK_FAULTS } from './disk-faults.ts'
import { createWorld, drain, MIB, put, type TestWorld } from './disk-setup.ts'
import { createRandom } from './random.ts'

/** Result codes of node:sqlite. */
const [READONLY, IOERR_READ, IOERR_WRITE, IOERR_FSYNC, CORRUPT, FULL] = [8, 266, 778, 1034, 11, 13]
const failure = (errcode: number) => expect.objectContaining({ errcode })

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
