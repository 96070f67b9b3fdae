// The spool: batches on disk, oldest first, in an SQLite file of its own (node:sqlite). What is in it
// outlives us: a stop, a crash, a power cut. A row whose bytes have changed is kept aside.

import { accessSync, constants, mkdirSync } from 'node:fs'
import { join } from 'node:path'
import type { DatabaseSync, StatementSync } from 'node:sqlite'
import { PRIORITIES } from '../../../shared/alert/alert.ts'
import { FatalError } from '../../../shared/errors.ts'
import {
  type Aside,
  atomically,
  damage,
  isLocked,
  openDatabase,
  openReader,
  PAGE_BYTES,
} from './database.ts'
import { alertsIn, checksumOf, likelyAlerts, linesIn, ROW, type StoredRow } from './row.ts'

/** A row, and how much it holds. */
export interface Row {
  readonly id: number
  readonly alerts: number
  readonly bytes: number
}

/** A row that was read: the lines of one batch, each with its newline, as Falco wrote them. */
export interface SpooledBatch extends Row {
  readonly lines: Buffer
}

export interface Spool extends Disposable, Aside {
  readonly path: string
  /** Alerts in it. */
  alerts(): number
  /** Batches in it. */
  rows(): number
  /** Bytes of lines in it. */
  bytes(): number
  /** Rows that were found damaged and are kept aside, since the opening, and their alerts. */
  damaged(): { readonly rows: number; readonly alerts: number }
  /** What its files may come to. */
  readonly limitBytes: number
  /** Why it cannot be read, after an error that may be damage; undefined when it can. */
  readTrouble(): Error | undefined
  hasRoom(bytes: number): boolean
  /** Adds at the end; on disk when it returns. Throws when the disk does not take it. */
  append(lines: Buffer, alerts: number, leastSevere: number): Row
  /** The oldest row behind `id` that is not damaged. Throws when the file is. */
  after(id: number): SpooledBatch | undefined
  remove(row: Row): void
  /** Removes a row that was delivered. When the disk does not let it go, the next call tries again. */
  release(row: Row): void
  /** Copies a row to those that are kept aside: some of its lines are no alerts. */
  keepCopy(row: SpooledBatch): void
  /** The least severe priority in the rows behind `id`, as an index into PRIORITIES; or -1. */
  leastSevereAfter(id: number): number
  /** The oldest row behind `id` whose least severe alert is as severe as that. */
  oldestWith(leastSevere: number, id: number): SpooledBatch | undefined
  replace(row: Row, lines: Buffer, alerts: number, leastSevere: number): void
}

/** What a row may need beyond its lines: its own page, the index, a page that is split. */
const ROW_PAGES = 8
/** Of the limit, at most this part is for damaged rows; the oldest go first. */
const DAMAGED_PART = 1 / 8
/** No file comes to more rows; what is above is a damaged number, and beyond 2^53 not even one. */
const ID_MAX = 2 ** 52

// Without constraints: for one value that breaks them, SQLite would give up the whole file.
const SCHEMA = `
  CREATE TABLE IF NOT EXISTS batches (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    alerts INTEGER,
    least_severe INTEGER,
    lines BLOB,
    checksum INTEGER
  );
  CREATE INDEX IF NOT EXISTS by_severity ON batches (least_severe, id);
  CREATE TABLE IF NOT EXISTS damaged (
    id INTEGER PRIMARY KEY,
    found TEXT,
    alerts INTEGER,
    lines BLOB
  );`
const NAMES = ['batches', 'by_severity', 'damaged', 'sqlite_sequence']

/**
 * Opens `directory`/spool.db, making both. A file that is damaged is moved aside and a new one begun.
 * Throws a FatalError when another process has it open, an Error when it cannot be used.
 */
export async function openSpool(directory: string, limitBytes: number): Promise<Spool> {
  const path = join(directory, 'spool.db')
  mkdirSync(directory, { recursive: true, mode: 0o700 })
  accessSync(directory, constants.R_OK | constants.W_OK | constants.X_OK)
  try {
    return await openDatabase(path, limitBytes, (database, aside) => {
      prepareTables(database)
      return createSpool(database, { path, limitBytes, ...aside })
    })
  } catch (error) {
    if (!isLocked(error)) throw error
    throw new FatalError(`--spool-dir ${directory} is in use by another process; give each its own`)
  }
}

function prepareTables(database: DatabaseSync): void {
  const one = (sql: string) => Object.values(database.prepare(sql).get()!)[0]
  atomically(database, () => {
    database.exec(SCHEMA)
    // Of a version that had no checksums.
    if (one(`SELECT count(*) FROM pragma_table_info('batches') WHERE name = 'checksum'`) === 0)
      database.exec('ALTER TABLE batches ADD COLUMN checksum INTEGER')
    const known = NAMES.map((name) => `'${name}'`).join()
    // A table whose name has changed: its rows would never be seen again.
    if (one(`SELECT count(*) FROM sqlite_schema WHERE name NOT IN (${known})`) !== 0)
      throw damage('the schema has unknown names')
  })
}

function createSpool(
  database: DatabaseSync,
  about: Aside & Pick<Spool, 'path' | 'limitBytes'>,
): Spool {
  const statement = (sql: string): StatementSync => database.prepare(sql)
  const sums = statement(`SELECT count(*) rows, total(alerts) alerts, total(length(lines)) bytes
    FROM batches`)
  const insert = statement(`INSERT INTO batches (id, alerts, least_severe, lines, checksum)
    VALUES (?, ?, ?, ?, ?)`)
  const next = statement(`${ROW} WHERE id > ? ORDER BY batches.id LIMIT 1`)
  const drop = statement('DELETE FROM batches WHERE id = ?')
  const leastSevere = statement(
    'SELECT CAST(max(least_severe) AS REAL) least FROM batches WHERE id > ?',
  )
  const oldest = statement(`${ROW} WHERE least_severe = ? AND id > ? ORDER BY batches.id LIMIT 1`)
  const update = statement(`UPDATE batches SET alerts = ?, least_severe = ?, lines = ?, checksum = ?
    WHERE id = ?`)
  const pages = statement(`SELECT max_page_count - page_count + freelist_count AS free
    FROM pragma_max_page_count, pragma_page_count, pragma_freelist_count`)
  const keep = statement('INSERT INTO damaged (found, alerts, lines) VALUES (?, ?, ?)')
  const trim = statement(`DELETE FROM damaged WHERE id IN (SELECT id FROM (SELECT id,
    sum(length(lines)) OVER (ORDER BY id DESC) bytes FROM damaged) WHERE bytes > ?)`)

  let lastId = repairNumbers(database)
  /** Rows that were delivered and are still in the file. */
  const released: number[] = []
  const damaged = { rows: 0, alerts: 0 }
  let reader: ReturnType<typeof openReader> | undefined
  const damagedIds = checkRows()
  let { rows, alerts, bytes } = measure()
  for (const id of damagedIds) keepAside(rowBehind(id - 1)!)

  /** Sets the numbers of alerts right, so that their sum is. Gives the rows that are damaged. */
  function checkRows(): number[] {
    const setAlerts = statement('UPDATE batches SET alerts = ? WHERE id = ?')
    const ids: number[] = []
    for (let row = rowBehind(0); row; row = rowBehind(row.id)) {
      const count = alertsIn(row)
      if (count === undefined) ids.push(row.id)
      const likely = count ?? likelyAlerts(row)
      if (likely !== row.alerts) setAlerts.run(likely, row.id)
    }
    return ids
  }

  function rowBehind(id: number): StoredRow | undefined {
    return next.get(id) as StoredRow | undefined
  }

  function measure() {
    return sums.get() as { rows: number; alerts: number; bytes: number }
  }

  function keepCopy({ alerts, lines }: Pick<StoredRow, 'alerts' | 'lines'>): void {
    keep.run(new Date().toISOString(), alerts, lines)
    trim.run(about.limitBytes * DAMAGED_PART)
  }

  function keepAside(row: StoredRow): void {
    dropReleased()
    // Removed first, which makes the room.
    atomically(database, () => {
      drop.run(row.id)
      keepCopy(row)
    })
    const before = alerts
    const left = measure()
    rows = left.rows
    alerts = left.alerts
    bytes = left.bytes
    damaged.rows++
    // Its own number may be what is damaged.
    damaged.alerts += Math.max(0, before - alerts)
  }

  /** The first intact row that the statement finds. */
  function read(statement: StatementSync, ...values: number[]): SpooledBatch | undefined {
    for (;;) {
      const row = statement.get(...values) as StoredRow | undefined
      if (row === undefined) return undefined
      const { id } = row
      const alerts = alertsIn(row)
      if (alerts !== undefined) {
        const lines = linesIn(row)
        return { id, alerts, bytes: lines.length, lines }
      }
      keepAside(row)
    }
  }

  function dropReleased(): void {
    for (let id = released[0]; id !== undefined; id = released[0]) {
      drop.run(id)
      released.shift()
    }
  }

  function add(row: Omit<Row, 'id'>, sign: 1 | -1): void {
    rows += sign
    alerts += sign * row.alerts
    bytes += sign * row.bytes
  }

  return {
    ...about,
    alerts: () => alerts,
    rows: () => rows,
    bytes: () => bytes,
    damaged: () => damaged,
    readTrouble() {
      reader ??= openReader(about.path)
      return reader.trouble()
    },
    hasRoom: (more) => more / PAGE_BYTES + ROW_PAGES < (pages.get() as { free: number }).free,
    append(lines, count, least) {
      const row = { id: ++lastId, alerts: count, bytes: lines.length }
      insert.run(row.id, count, least, lines, checksumOf(lines))
      add(row, 1)
      return row
    },
    after: (id) => read(next, id),
    remove(row) {
      drop.run(row.id)
      add(row, -1)
    },
    release(row) {
      add(row, -1)
      released.push(row.id)
      dropReleased()
    },
    keepCopy: (row) => atomically(database, () => keepCopy(row)),
    leastSevereAfter(id) {
      const { least } = leastSevere.get(id) as { least: number | null }
      if (least !== null && PRIORITIES[least] === undefined) throw damage('a severity is none')
      return least ?? -1
    },
    oldestWith: (least, id) => read(oldest, least, id),
    replace(row, lines, count, least) {
      update.run(count, least, lines, checksumOf(lines), row.id)
      add(row, -1)
      add({ alerts: count, bytes: lines.length }, 1)
    },
    [Symbol.dispose]() {
      if (!database.isOpen) return
      try {
        dropReleased()
      } catch {
        // They are sent again at the next start.
      }
      database.close()
      reader?.[Symbol.dispose]()
    },
  }
}

/** Numbers that nothing could work with are replaced: the lines may be intact. Gives the highest id. */
function repairNumbers(database: DatabaseSync): number {
  database.exec(`UPDATE batches SET least_severe = ${PRIORITIES.length - 1}
    WHERE typeof(least_severe) <> 'integer' OR least_severe NOT BETWEEN 0 AND ${PRIORITIES.length - 1}`)
  const highest = database.prepare(`SELECT max(id) id FROM batches WHERE id <= ${ID_MAX}`)
  const strays = database.prepare(
    `SELECT CAST(id AS TEXT) id FROM batches WHERE id NOT BETWEEN 1 AND ${ID_MAX}`,
  )
  const move = database.prepare('UPDATE batches SET id = ? WHERE id = CAST(? AS INTEGER)')
  let lastId = Math.max(0, (highest.get() as { id: number | null }).id ?? 0)
  for (const { id } of strays.all() as { id: string }[]) move.run(++lastId, id)
  return lastId
}
