// The spool: batches on disk, oldest first, in an SQLite file that outlives a stop, a crash and a power cut.
// A row whose bytes have changed is kept aside.

import { accessSync, constants, mkdirSync } from 'node:fs'
import { join } from 'node:path'
import type { DatabaseSync, StatementSync } from 'node:sqlite'
import { PRIORITIES } from '../../../shared/alert/alert.ts'
import { FatalError } from '../../../shared/errors.ts'
import {
  atomically,
  type DatabaseFile,
  damage,
  isLocked,
  openDatabase,
  openReader,
} from './database.ts'
import type { Row, SpooledBatch, StoredRow } from './tables.ts'
import { checksumOf, intactBatch, oldestRow, prepareTables } from './tables.ts'

export type Spool = ReturnType<typeof createSpool>

/** What a row may need beyond its lines: partly filled pages, the index, a page split. */
const ROW_BYTES = 8 * 4096
/** Damaged rows take at most this part of the limit; the oldest are deleted first. */
const DAMAGED_PART = 1 / 8

/** Opens `directory`/spool.db, making both. Throws a FatalError when another process has it open. */
export async function openSpool(directory: string, limitBytes: number): Promise<Spool> {
  const path = join(directory, 'spool.db')
  mkdirSync(directory, { recursive: true, mode: 0o700 })
  accessSync(directory, constants.R_OK | constants.W_OK | constants.X_OK)
  try {
    return await openDatabase(path, limitBytes, createSpool)
  } catch (error) {
    if (!isLocked(error)) throw error
    throw new FatalError(`--spool-dir ${directory} is in use by another process; give each its own`)
  }
}

function createSpool(database: DatabaseSync, file: DatabaseFile) {
  let { lastId, damagedIds } = prepareTables(database)
  const prepare = (sql: string) => database.prepare(sql)
  const measure = prepare(`SELECT count(*) rows, total(alerts) alerts, total(length(lines)) bytes
    FROM batches`)
  const insert = prepare(`INSERT INTO batches (id, alerts, least_severe, lines, checksum)
    VALUES (?, ?, ?, ?, ?)`)
  const next = prepare(oldestRow('id > ?'))
  const drop = prepare('DELETE FROM batches WHERE id = ?')
  const least = prepare('SELECT CAST(max(least_severe) AS REAL) max FROM batches WHERE id > ?')
  const oldest = prepare(oldestRow('least_severe = ? AND id > ?'))
  const update = prepare(`UPDATE batches SET alerts = ?, least_severe = ?, lines = ?, checksum = ?
    WHERE id = ?`)
  const space = prepare(`SELECT (max_page_count - page_count + freelist_count) * page_size AS free
    FROM pragma_max_page_count, pragma_page_count, pragma_freelist_count, pragma_page_size`)
  const keep = prepare('INSERT INTO damaged (found, alerts, lines) VALUES (?, ?, ?)')
  const trim = prepare(`DELETE FROM damaged WHERE id IN (SELECT id FROM (SELECT id,
    sum(length(lines)) OVER (ORDER BY id DESC) bytes FROM damaged) WHERE bytes > ?)`)

  /** Ids of delivered rows that are still in the file. */
  const released: number[] = []
  const damaged = { rows: 0, alerts: 0 }
  const reader = openReader(file.path)
  const sums = { rows: 0, alerts: 0, bytes: 0 }
  Object.assign(sums, measure.get())
  for (const id of damagedIds) keepAside(next.get(id - 1) as unknown as StoredRow)

  function keepCopy({ alerts, lines }: Pick<StoredRow, 'alerts' | 'lines'>): void {
    keep.run(new Date().toISOString(), alerts, lines)
    trim.run(file.limitBytes * DAMAGED_PART)
  }

  function keepAside(row: StoredRow): void {
    dropReleased()
    // Removing it first makes room.
    atomically(database, () => {
      drop.run(row.id)
      keepCopy(row)
    })
    const before = sums.alerts
    Object.assign(sums, measure.get())
    damaged.rows++
    // Not by the number in the row, which may be damaged.
    damaged.alerts += Math.max(0, before - sums.alerts)
  }

  /** The first intact row that the statement finds. */
  function read(statement: StatementSync, ...values: number[]): SpooledBatch | undefined {
    for (;;) {
      const row = statement.get(...values) as StoredRow | undefined
      const batch = row && intactBatch(row)
      if (!row || batch) return batch
      keepAside(row)
    }
  }

  function dropReleased(): void {
    for (; released.length > 0; released.shift()) drop.run(released[0]!)
  }

  function add({ alerts, bytes }: Omit<Row, 'id'>, sign: 1 | -1): void {
    sums.rows += sign
    sums.alerts += sign * alerts
    sums.bytes += sign * bytes
  }

  return {
    ...file,
    rows: () => sums.rows,
    alerts: () => sums.alerts,
    /** Of lines. */
    bytes: () => sums.bytes,
    /** Rows found damaged and kept aside since the opening, and their alerts. */
    damaged: (): Readonly<typeof damaged> => damaged,
    /** Why the disk cannot read the file, after an error that may be damage; undefined when it can. */
    readFailure: reader.failure,
    hasRoom: (bytes: number) => bytes + ROW_BYTES < (space.get() as { free: number }).free,
    /** Adds a row at the end, which is on disk when this returns. */
    append(lines: Buffer, alerts: number, leastSevere: number): Row {
      const row = { id: ++lastId, alerts, bytes: lines.length }
      insert.run(row.id, alerts, leastSevere, lines, checksumOf(lines))
      add(row, 1)
      return row
    },
    /** The oldest intact row behind `id`. */
    after: (id: number) => read(next, id),
    remove(row: Row): void {
      drop.run(row.id)
      add(row, -1)
    },
    /** Removes a delivered row. If that fails, the next call tries again. */
    release(row: Row): void {
      add(row, -1)
      released.push(row.id)
      dropReleased()
    },
    /** Keeps a copy of a row aside: some of its lines are no alerts. */
    keepCopy: (row: Pick<SpooledBatch, 'alerts' | 'lines'>) =>
      atomically(database, () => keepCopy(row)),
    /** The least severe priority in the rows behind `id`, as an index into PRIORITIES; or -1. */
    leastSevereAfter(id: number): number {
      const { max } = least.get(id) as { max: number | null }
      if (max !== null && PRIORITIES[max] === undefined) throw damage('a severity is none')
      return max ?? -1
    },
    /** The oldest intact row behind `id` whose least severe alert has that priority. */
    oldestWith: (leastSevere: number, id: number) => read(oldest, leastSevere, id),
    replace(row: Row, lines: Buffer, alerts: number, leastSevere: number): void {
      update.run(alerts, leastSevere, lines, checksumOf(lines), row.id)
      add(row, -1)
      add({ alerts, bytes: lines.length }, 1)
    },
    [Symbol.dispose](): void {
      if (!database.isOpen) return
      try {
        dropReleased()
      } catch {
        // They are sent again at the next start.
      }
      database.close()
      reader[Symbol.dispose]()
    },
  }
}
