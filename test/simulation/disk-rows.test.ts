// The simulated rows against those in SQLite: the same statements get the same answers.

import { DatabaseSync } from 'node:sqlite'
import fc from 'fast-check'
import { expect, it } from 'vitest'
import { createSpool } from '../../src/forward/buffer/spool/spool.ts'
import { openRows, type Rows } from '../../src/forward/buffer/spool/tables.ts'
import { createDisk } from './disk.ts'
import { PAGE_BYTES } from './disk-table.ts'
import { createRandom } from './random.ts'
import { createVirtualTime } from './virtual-clock.ts'

const MIB = 1024 * 1024
const LIMIT = 8 * MIB

/** The name of one, with its values. */
type Statement = Record<string, unknown>
const id = fc.integer({ min: 1, max: 12 })
const severity = fc.integer({ min: 0, max: 7 })
const alerts = fc.integer({ min: 0, max: 5 })
const checksum = fc.integer({ min: 0, max: 2 ** 32 - 1 })
const lines = fc
  .record({ length: fc.oneof(fc.constantFrom(0, 500), fc.nat(20_000)), byte: fc.nat(255) })
  .map(({ length, byte }) => Buffer.alloc(length, byte))
const statement: fc.Arbitrary<Statement> = fc.oneof(
  {
    weight: 5,
    arbitrary: fc.record({ insert: fc.tuple(alerts, severity, lines, checksum, id) }),
  },
  fc.record({ update: fc.tuple(alerts, severity, lines, checksum, id) }),
  fc.record({ setAlerts: fc.tuple(alerts, id) }),
  fc.record({ drop: fc.tuple(id) }),
  fc.record({ after: fc.tuple(fc.nat(12)) }),
  fc.record({ oldestWith: fc.tuple(severity, fc.nat(12)) }),
  fc.record({ leastSevereAfter: fc.tuple(fc.nat(12)) }),
  fc.record({ measure: fc.constant([]) }),
  fc.record({ keep: fc.tuple(fc.constantFrom('then', 'later'), alerts, lines) }),
  fc.record({ trimKept: fc.tuple(fc.constantFrom(0, 500, 1000, 20_000)) }),
)
/** Statements, and of those in a list whether the last one throws. */
const step = fc.oneof(
  { weight: 6, arbitrary: statement },
  fc.tuple(fc.array(statement, { maxLength: 4 }), fc.boolean()),
  fc.constant('reopen' as const),
)

function answerOf(rows: Rows, one: Statement): unknown {
  const [name, values] = Object.entries(one)[0]! as [keyof Rows, never[]]
  try {
    const result = (rows[name] as (...values: never[]) => unknown)(...values) as object | undefined
    // As plain objects and bytes.
    return (
      result &&
      structuredClone({ ...result, lines: 'lines' in result && [...(result.lines as Buffer)] })
    )
  } catch (error) {
    return (error as { errcode: number }).errcode
  }
}

function inTransaction(rows: Rows, statements: Statement[], throws: boolean): unknown {
  const answers: unknown[] = []
  try {
    rows.atomically(() => {
      for (const one of statements) answers.push(answerOf(rows, one))
      if (throws) throw new Error('undone')
    })
  } catch (error) {
    answers.push((error as Error).message)
  }
  return answers
}

it('answers as SQLite does', () => {
  fc.assert(
    fc.property(fc.array(step, { maxLength: 40 }), (steps) => {
      const time = createVirtualTime()
      const random = () => createRandom(1)
      const disk = createDisk({ time, random, trace() {}, violated() {} }, { limitBytes: LIMIT })
      const life = { number: 1, isAlive: () => true, clock: time.clockFor(), step() {} }
      using database = new DatabaseSync(':memory:')
      database.exec(`PRAGMA max_page_count = ${(LIMIT - MIB) / PAGE_BYTES}`)
      let real = openRows(database, ':memory:')
      let simulated = disk.openRows(life, LIMIT)
      const both = <T>(ask: (rows: Rows) => T) => expect(ask(simulated)).toEqual(ask(real))
      for (const one of steps) {
        if (one === 'reopen') {
          real = openRows(database, ':memory:')
          simulated.close()
          simulated = disk.openRows(life, LIMIT)
        } else if (Array.isArray(one)) both((rows) => inTransaction(rows, ...one))
        else both((rows) => answerOf(rows, one))
        if (one === 'reopen') both(({ lastId }) => lastId)
        const free = simulated.space().free - real.space().free
        expect(Math.abs(free)).toBeLessThanOrEqual(6 * PAGE_BYTES)
      }
      const kept = database.prepare('SELECT found FROM damaged ORDER BY id').all()
      expect(disk.aside().map(({ found }) => ({ found }))).toEqual(kept)
    }),
    { numRuns: 300 },
  )
})

it('makes of a damaged row what it is in SQLite', () => {
  const change = fc.record({
    row: fc.nat(4),
    column: fc.constantFrom('lines', 'checksum', 'alerts', 'leastSevere'),
    bit: fc.nat(15),
  })
  fc.assert(
    fc.property(fc.array(change, { maxLength: 8 }), (changes) => {
      const time = createVirtualTime()
      const random = () => createRandom(1)
      const disk = createDisk({ time, random, trace() {}, violated() {} }, { limitBytes: LIMIT })
      const life = { number: 1, isAlive: () => true, clock: time.clockFor(), step() {} }
      const file = { path: '', limitBytes: LIMIT, movedAside: undefined, cutLog: undefined }
      using database = new DatabaseSync(':memory:')
      const both = [() => openRows(database, ':memory:'), () => disk.openRows(life, LIMIT)] as const
      for (const open of both) {
        const spool = createSpool(open(), file, life.clock)
        for (let alerts = 1; alerts <= 5; alerts++)
          spool.append(Buffer.from('{"rule":"r","priority":"p"}\n'.repeat(alerts)), alerts, alerts)
      }
      const set = database.prepare(
        'UPDATE batches SET alerts = ?, least_severe = ?, lines = ?, checksum = ? WHERE id = ?',
      )
      for (const { row, column, bit } of changes)
        disk.changeRow(row / 5, (row) => {
          const { lines } = row
          const changed = { ...row, lines: Buffer.from(lines) }
          if (column === 'lines') changed.lines[(bit * 7) % lines.length]! ^= 1
          else if (column === 'checksum') changed.checksum = (changed.checksum ^ (2 ** bit)) >>> 0
          else changed[column] ^= 2 ** bit
          const { id, alerts, leastSevere, checksum } = changed
          set.run(alerts, leastSevere, changed.lines, checksum, id)
          return changed
        })
      disk.crash()
      const [real, simulated] = both.map((open) => {
        const spool = createSpool(open(), file, life.clock)
        const sums = [spool.rows(), spool.alerts(), spool.bytes(), { ...spool.damaged() }]
        const leastSevere = spool.leastSevereAfter(0)
        const read = []
        for (let row = spool.after(0); row; row = spool.after(row.id)) read.push(row.id)
        return { sums, leastSevere, read }
      })
      expect(simulated).toEqual(real)
    }),
    { numRuns: 100 },
  )
})
