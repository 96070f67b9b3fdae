// The tables of the spool in SQLite: made, brought up to date, their ids and severities repaired; and each
// statement that the spool runs on them. Nothing else here depends on SQL, so a simulation hands in rows of its own.

import type { DatabaseSync } from 'node:sqlite'
import { PRIORITIES } from '../../../shared/alert/alert.ts'
import { atomically, damage, openReader } from './database.ts'
import type { StoredRow } from './row.ts'

export type Rows = ReturnType<typeof openRows>
type Content = [alerts: number, leastSevere: number, lines: Uint8Array, checksum: number]

/** No file has more rows. A larger id is damaged, and from 2^53 on not exact as a number. */
const ID_MAX = 2 ** 52
const LEAST_SEVERE = PRIORITIES.length - 1

// Without constraints: for one value that breaks them, SQLite would give up the whole file.
const SCHEMA = `
  CREATE TABLE IF NOT EXISTS batches (id INTEGER PRIMARY KEY AUTOINCREMENT,
    alerts INTEGER, least_severe INTEGER, lines BLOB, checksum INTEGER);
  CREATE INDEX IF NOT EXISTS by_severity ON batches (least_severe, id);
  CREATE TABLE IF NOT EXISTS damaged (id INTEGER PRIMARY KEY,
    found TEXT, alerts INTEGER, lines BLOB);`
const NAMES = `'batches', 'by_severity', 'damaged', 'sqlite_sequence'`

/**
 * The query for the oldest row that matches, as numbers and bytes whatever is stored: not every INTEGER is
 * a JavaScript number. Ordered by `batches.id`, which is indexed, not by the number made of it.
 */
const oldestRow = (where: string): string =>
  `SELECT CAST(id AS REAL) id, ifnull(CAST(alerts AS REAL), 0) alerts,
    ifnull(CAST(lines AS BLOB), x'') lines, CAST(checksum AS REAL) checksum
    FROM batches WHERE ${where} ORDER BY batches.id LIMIT 1`

/** Makes the tables in the database at `path`, or brings them up to date. */
export function openRows(database: DatabaseSync, path: string) {
  const lastId = prepareTables(database)
  const reader = openReader(path)
  function get<Values extends number[], Found>(sql: string) {
    const statement = database.prepare(sql)
    return (...values: Values) => statement.get(...values) as Found
  }
  function run<Values extends (number | string | Uint8Array)[]>(sql: string) {
    const statement = database.prepare(sql)
    return (...values: Values): void => void statement.run(...values)
  }
  return {
    /** The highest at the opening. */
    lastId,
    isOpen: (): boolean => database.isOpen,
    measure: get<[], { rows: number; alerts: number; bytes: number }>(
      'SELECT count(*) rows, total(alerts) alerts, total(length(lines)) bytes FROM batches',
    ),
    insert: run<[...Content, id: number]>(
      'INSERT INTO batches (alerts, least_severe, lines, checksum, id) VALUES (?, ?, ?, ?, ?)',
    ),
    after: get<[id: number], StoredRow | undefined>(oldestRow('id > ?')),
    oldestWith: get<[leastSevere: number, id: number], StoredRow | undefined>(
      oldestRow('least_severe = ? AND id > ?'),
    ),
    leastSevereAfter: get<[id: number], { max: number | null }>(
      'SELECT CAST(max(least_severe) AS REAL) max FROM batches WHERE id > ?',
    ),
    update: run<[...Content, id: number]>(
      'UPDATE batches SET alerts = ?, least_severe = ?, lines = ?, checksum = ? WHERE id = ?',
    ),
    setAlerts: run<[alerts: number, id: number]>('UPDATE batches SET alerts = ? WHERE id = ?'),
    drop: run<[id: number]>('DELETE FROM batches WHERE id = ?'),
    space: get<[], { free: number }>(
      `SELECT (max_page_count - page_count + freelist_count) * page_size AS free
        FROM pragma_max_page_count, pragma_page_count, pragma_freelist_count, pragma_page_size`,
    ),
    keep: run<[found: string, alerts: number, lines: Uint8Array]>(
      'INSERT INTO damaged (found, alerts, lines) VALUES (?, ?, ?)',
    ),
    /** Deletes the oldest damaged rows, so that the others have at most so many bytes of lines. */
    trimKept: run<[bytes: number]>(
      `DELETE FROM damaged WHERE id IN (SELECT id FROM (SELECT id,
        sum(length(lines)) OVER (ORDER BY id DESC) bytes FROM damaged) WHERE bytes > ?)`,
    ),
    atomically: (step: () => void): void => atomically(database, step),
    /** Why the disk cannot read the file, after an error that may be damage; undefined when it can. */
    readFailure: reader.failure,
    close(): void {
      database.close()
      reader[Symbol.dispose]()
    },
  }
}

/** Returns the highest id. */
function prepareTables(database: DatabaseSync): number {
  const one = (sql: string) => Object.values(database.prepare(sql).get()!)[0] as number
  atomically(database, () => {
    database.exec(SCHEMA)
    // A version before had no checksums.
    if (one(`SELECT count(*) FROM pragma_table_info('batches') WHERE name = 'checksum'`) === 0)
      database.exec('ALTER TABLE batches ADD COLUMN checksum INTEGER')
    // The rows of a table whose name has changed would never be seen again.
    if (one(`SELECT count(*) FROM sqlite_schema WHERE name NOT IN (${NAMES})`) !== 0)
      throw damage('the schema has unknown names')
  })
  // The lines of a row with an invalid severity or id may be intact.
  database.exec(`UPDATE batches SET least_severe = ${LEAST_SEVERE}
    WHERE typeof(least_severe) <> 'integer' OR least_severe NOT BETWEEN 0 AND ${LEAST_SEVERE}`)
  const lastId = one(`SELECT ifnull(max(id), 0) FROM batches WHERE id BETWEEN 1 AND ${ID_MAX}`)
  return moveStrays(database, lastId)
}

/** Gives rows with invalid ids free ones: behind the others, unless none are left there. Returns the highest id. */
function moveStrays(database: DatabaseSync, lastId: number): number {
  // As text, since an id may be no JavaScript number.
  const strays = database
    .prepare(`SELECT CAST(id AS TEXT) id FROM batches WHERE id NOT BETWEEN 1 AND ${ID_MAX}`)
    .all() as { id: string }[]
  const row = database.prepare('SELECT 1 FROM batches WHERE id = ?')
  const move = database.prepare('UPDATE batches SET id = ? WHERE id = CAST(? AS INTEGER)')
  let free = lastId + strays.length <= ID_MAX ? lastId : 0
  for (const { id } of strays) {
    do free++
    while (row.get(free))
    move.run(free, id)
  }
  return Math.max(lastId, free)
}
