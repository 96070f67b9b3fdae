// The tables of the spool: made, brought up to date, and their numbers set right.

import type { DatabaseSync } from 'node:sqlite'
import { PRIORITIES } from '../../../shared/alert/alert.ts'
import { atomically, damage } from './database.ts'
import { alertsIn, likelyAlerts, oldestRow, type StoredRow } from './row.ts'

/** No file comes to more rows; an id above is damaged, and beyond 2^53 not even a number to us. */
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

/** Gives the highest id, and the ids of rows whose lines are damaged. */
export function prepareTables(database: DatabaseSync) {
  const one = (sql: string) => Object.values(database.prepare(sql).get()!)[0]
  atomically(database, () => {
    database.exec(SCHEMA)
    // Of a version that had no checksums.
    if (one(`SELECT count(*) FROM pragma_table_info('batches') WHERE name = 'checksum'`) === 0)
      database.exec('ALTER TABLE batches ADD COLUMN checksum INTEGER')
    // A table whose name has changed: its rows would never be seen again.
    if (one(`SELECT count(*) FROM sqlite_schema WHERE name NOT IN (${NAMES})`) !== 0)
      throw damage('the schema has unknown names')
  })
  return { lastId: repairNumbers(database), damagedIds: checkRows(database) }
}

/** Replaces numbers that nothing could work with: the lines may be intact. Gives the highest id. */
function repairNumbers(database: DatabaseSync): number {
  database.exec(`UPDATE batches SET least_severe = ${LEAST_SEVERE}
    WHERE typeof(least_severe) <> 'integer' OR least_severe NOT BETWEEN 0 AND ${LEAST_SEVERE}`)
  const highest = database.prepare(`SELECT max(id) id FROM batches WHERE id <= ${ID_MAX}`)
  const strays = database.prepare(
    `SELECT CAST(id AS TEXT) id FROM batches WHERE id NOT BETWEEN 1 AND ${ID_MAX}`,
  )
  const move = database.prepare('UPDATE batches SET id = ? WHERE id = CAST(? AS INTEGER)')
  let lastId = Math.max(0, (highest.get() as { id: number | null }).id ?? 0)
  for (const { id } of strays.all() as { id: string }[]) move.run(++lastId, id)
  return lastId
}

/** Sets the numbers of alerts right, so that their sum is. Gives the ids of damaged rows. */
function checkRows(database: DatabaseSync): number[] {
  const next = database.prepare(oldestRow('id > ?'))
  const setAlerts = database.prepare('UPDATE batches SET alerts = ? WHERE id = ?')
  const rowBehind = (id: number) => next.get(id) as StoredRow | undefined
  const ids: number[] = []
  for (let row = rowBehind(0); row; row = rowBehind(row.id)) {
    const count = alertsIn(row)
    if (count === undefined) ids.push(row.id)
    const likely = count ?? likelyAlerts(row)
    if (likely !== row.alerts) setAlerts.run(likely, row.id)
  }
  return ids
}
