// Lives on the simulated disk, which end at any access; and what it tells of the rows.

import { describe, expect, it } from 'vitest'
import { FatalError } from '../../src/shared/errors.ts'
import { createWorld, drain, linesOf, put } from './disk-setup.ts'

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
