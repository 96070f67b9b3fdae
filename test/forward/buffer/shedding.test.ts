import pino from 'pino'
import { expect, it } from 'vitest'
import { createCounters, totalDropped } from '../../../src/forward/accounting/counters.ts'
import { createShedding } from '../../../src/forward/buffer/shedding.ts'
import { createDisk } from '../../../src/forward/buffer/spool/disk.ts'
import { openSpool, type Spool } from '../../../src/forward/buffer/spool/spool.ts'
import { leastSevereKept } from '../../../src/forward/buffer/when-full.ts'
import { type Batch, createBatchPool } from '../../../src/forward/encoding/batch.ts'
import { createEncoder } from '../../../src/forward/encoding/encoder.ts'
import { payloadAt } from '../../../src/forward/encoding/messages.ts'
import { PRIORITIES } from '../../../src/shared/alert/alert.ts'
import { systemClock } from '../../../src/shared/clock.ts'
import { tempDir } from '../../support/temp.ts'

const linesOf = (priorities: readonly string[]) =>
  Buffer.from(priorities.map((priority) => `${JSON.stringify({ rule: 'r', priority })}\n`).join(''))
const severityOf = (priority: string) => PRIORITIES.indexOf(priority.toLowerCase() as never)

function setUp(spool?: Spool, kept = -1) {
  const counters = createCounters()
  const pool = createBatchPool(4096)
  const encoder = createEncoder(() => 'falco.r')
  const disk = createDisk(spool, 0, [], counters, pino({ level: 'silent' }), systemClock)
  const memory: Batch[] = []
  const replace = (index: number, ...by: Batch[]) => void memory.splice(index, 1, ...by)
  const shed = createShedding({ encoder, pool, counters }, disk, memory, replace, kept)
  return {
    counters,
    disk,
    shed,
    hold(...priorities: string[]) {
      const batch = pool.borrow()
      encoder.addLines(batch, linesOf(priorities))
      memory.push(batch)
    },
    held: () =>
      memory.map((batch) =>
        Array.from(
          { length: batch.count },
          (_, index) => JSON.parse(payloadAt(batch, index).toString()).priority,
        ),
      ),
  }
}

function spoolOf(spool: Spool, ...rows: string[][]) {
  for (const priorities of rows)
    spool.append(linesOf(priorities), priorities.length, Math.max(...priorities.map(severityOf)))
}

it('sheds the least severe of one batch at a time, the oldest first, until nothing is left', () => {
  const { shed, hold, held, counters } = setUp()
  hold('Error', 'Debug')
  hold('Notice')
  hold('Debug', 'Debug', 'Error')
  const seen = []
  while (shed()) seen.push(held())
  expect(seen).toEqual([
    [['Error'], ['Notice'], ['Debug', 'Debug', 'Error']],
    [['Error'], ['Notice'], ['Error']],
    [['Error'], ['Error']],
    [['Error']],
    [],
  ])
  const dropped = { debug: 3, notice: 1, error: 2 }
  for (const [priority, count] of Object.entries(dropped))
    expect(counters.dropped[severityOf(priority)]).toBe(count)
})

it('sheds rows before memory, where they are as little severe', async () => {
  using dir = tempDir()
  using spool = await openSpool(dir.path, 8 * 1024 * 1024)
  spoolOf(spool, ['Error', 'Debug'], ['Notice'])
  const { shed, hold, held } = setUp(spool)
  hold('Debug', 'Warning')
  expect(shed()).toBe(true)
  expect([spool.alerts(), held()]).toEqual([2, [['Debug', 'Warning']]])
  expect(shed()).toBe(true)
  expect([spool.alerts(), held()]).toEqual([2, [['Warning']]])
  expect(shed()).toBe(true)
  expect([spool.alerts(), held()]).toEqual([1, [['Warning']]])
})

it('sheds nothing that is as severe as those that are kept, neither in memory nor on disk', async () => {
  using dir = tempDir()
  using spool = await openSpool(dir.path, 8 * 1024 * 1024)
  spoolOf(spool, ['Error', 'Debug'], ['Critical', 'Warning'])
  const { shed, hold, held, counters } = setUp(spool, severityOf('Error'))
  hold('Warning', 'Error', 'Emergency')
  while (shed());
  expect([spool.alerts(), held()]).toEqual([2, [['Error', 'Emergency']]])
  expect(totalDropped(counters)).toBe(3)
})

it('sheds warnings and no error with drop-below-error', () => {
  const { shed, hold, held, counters } = setUp(undefined, leastSevereKept('drop-below-error'))
  hold('Error', 'Warning')
  hold('Warning', 'Warning')
  hold('Error')
  while (shed());
  expect(held()).toEqual([['Error'], ['Error']])
  expect(counters.dropped[severityOf('Warning')]).toBe(3)
  expect(totalDropped(counters)).toBe(3)
})

it('counts nothing of a row that the disk does not change', async () => {
  using dir = tempDir()
  using spool = await openSpool(dir.path, 8 * 1024 * 1024)
  const debug = severityOf('Debug')
  const lines = Buffer.concat([Buffer.from('spoiled\n'), linesOf(['Error', 'Debug'])])
  spool.append(lines, 3, debug)
  const { replace } = spool
  let fails = true
  const failing: Spool = {
    ...spool,
    replace(...row) {
      if (fails) throw new Error('disk')
      replace(...row)
    },
  }
  const { shed, disk, counters } = setUp(failing)
  expect(shed()).toBe(false)
  expect([counters.unreadable, counters.dropped[debug], counters.spooled]).toEqual([0, 0, 3])
  fails = false
  disk.useReserve()
  expect(shed()).toBe(true)
  expect([counters.unreadable, counters.dropped[debug], counters.spooled]).toEqual([1, 1, 1])
})
