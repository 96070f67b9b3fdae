// The spool: batches on disk, oldest first, in an SQLite file that outlives a stop, a crash and a power cut.
// A row whose bytes have changed is kept aside.

import { accessSync, constants, mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { PRIORITIES } from '../../../shared/alert/alert.ts'
import { type Clock, systemClock } from '../../../shared/clock.ts'
import { FatalError } from '../../../shared/errors.ts'
import { type DatabaseFile, damage, isLocked, openDatabase } from './database.ts'
import type { Row, SpooledBatch, StoredRow } from './row.ts'
import { checksumOf, intactBatch, likelyAlerts } from './row.ts'
import { openRows, type Rows } from './tables.ts'

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
    return await openDatabase(path, limitBytes, systemClock, (database, file) =>
      createSpool(openRows(database, path), file, systemClock),
    )
  } catch (error) {
    if (!isLocked(error)) throw error
    throw new FatalError(`--spool-dir ${directory} is in use by another process; give each its own`)
  }
}

/** `rows` are closed with the spool. */
export function createSpool(rows: Rows, file: DatabaseFile, clock: Clock) {
  let { lastId } = rows
  /** Ids of delivered rows that are still in the file. */
  const released: number[] = []
  const damaged = { rows: 0, alerts: 0 }
  const sums = { rows: 0, alerts: 0, bytes: 0 }
  const damagedIds = checkRows(rows)
  Object.assign(sums, rows.measure())
  for (const id of damagedIds) keepAside(rows.after(id - 1)!)

  function keepCopy({ alerts, lines }: Pick<StoredRow, 'alerts' | 'lines'>): void {
    rows.keep(new Date(clock.date()).toISOString(), alerts, lines)
    rows.trimKept(file.limitBytes * DAMAGED_PART)
  }

  function keepAside(row: StoredRow): void {
    dropReleased()
    // Removing it first makes room.
    rows.atomically(() => {
      rows.drop(row.id)
      keepCopy(row)
    })
    const before = sums.alerts
    Object.assign(sums, rows.measure())
    damaged.rows++
    // Not by the number in the row, which may be damaged.
    damaged.alerts += Math.max(0, before - sums.alerts)
  }

  /** The first intact row that is found. */
  function read(find: () => StoredRow | undefined): SpooledBatch | undefined {
    for (;;) {
      const row = find()
      const batch = row && intactBatch(row)
      if (!row || batch) return batch
      keepAside(row)
    }
  }

  function dropReleased(): void {
    for (; released.length > 0; released.shift()) rows.drop(released[0]!)
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
    readFailure: rows.readFailure,
    /** A row of fewer bytes has room. */
    room: () => rows.space().free - ROW_BYTES,
    /** Adds a row at the end, which is on disk when this returns. */
    append(lines: Buffer, alerts: number, leastSevere: number): Row {
      const row = { id: ++lastId, alerts, bytes: lines.length }
      rows.insert(alerts, leastSevere, lines, checksumOf(lines), row.id)
      add(row, 1)
      return row
    },
    /** The oldest intact row behind `id`. */
    after: (id: number) => read(() => rows.after(id)),
    remove(row: Row): void {
      rows.drop(row.id)
      add(row, -1)
    },
    /** Removes a delivered row. If that fails, the next call tries again. */
    release(row: Row): void {
      add(row, -1)
      released.push(row.id)
      dropReleased()
    },
    /** Keeps a copy of a row aside: some of its lines are no alerts. */
    keepCopy: (row: Pick<SpooledBatch, 'alerts' | 'lines'>) => rows.atomically(() => keepCopy(row)),
    /** The least severe priority in the rows behind `id`, as an index into PRIORITIES; or -1. */
    leastSevereAfter(id: number): number {
      const { max } = rows.leastSevereAfter(id)
      if (max !== null && PRIORITIES[max] === undefined) throw damage('a severity is none')
      return max ?? -1
    },
    /** The oldest intact row behind `id` whose least severe alert has that priority. */
    oldestWith: (leastSevere: number, id: number) => read(() => rows.oldestWith(leastSevere, id)),
    replace(row: Row, lines: Buffer, alerts: number, leastSevere: number): void {
      rows.update(alerts, leastSevere, lines, checksumOf(lines), row.id)
      add(row, -1)
      add({ alerts, bytes: lines.length }, 1)
    },
    [Symbol.dispose](): void {
      if (!rows.isOpen()) return
      try {
        dropReleased()
      } catch {
        // They are sent again at the next start.
      }
      rows.close()
    },
  }
}

/** Corrects the numbers of alerts, and so their sum. Returns the ids of damaged rows. */
function checkRows(rows: Rows): number[] {
  const ids: number[] = []
  for (let row = rows.after(0); row; row = rows.after(row.id)) {
    const batch = intactBatch(row)
    if (!batch) ids.push(row.id)
    const alerts = batch?.alerts ?? likelyAlerts(row)
    if (alerts !== row.alerts) rows.setAlerts(alerts, row.id)
  }
  return ids
}
