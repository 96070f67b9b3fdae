// For tests of the simulated disk: a world with nothing else in it, and spools on it.

import type { Spool } from '../../src/forward/buffer/spool/spool.ts'
import { lineOf } from './alerts.ts'
import { createDisk } from './disk.ts'
import { DISK_FAULTS } from './disk-faults.ts'
import { numbersIn } from './disk-table.ts'
import type { Parameters } from './fault.ts'
import { createRandom } from './random.ts'
import { createVirtualTime } from './virtual-clock.ts'

export const MIB = 1024 * 1024
const LIMIT = 8 * MIB

export type TestWorld = ReturnType<typeof createWorld>

export function createWorld(limitBytes = LIMIT) {
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
export const linesOf = (...numbers: number[]) =>
  Buffer.from(
    numbers
      .map((number) => `${lineOf({ number, at: 0, severity: 5, rule: 1, length: 0 })}\n`)
      .join(''),
  )
export const put = (spool: Spool, ...numbers: number[]) =>
  spool.append(linesOf(...numbers), numbers.length, 5)

/** The alerts that can be read of it, row by row. */
export function drain(spool: Spool): number[][] {
  const rows = []
  for (let row = spool.after(0); row; row = spool.after(0)) {
    rows.push(numbersIn(row.lines))
    spool.release(row)
  }
  return rows
}
