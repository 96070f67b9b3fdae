// The tables of the spool: made, brought up to date, their numbers repaired; and what a stored row holds.

import type { DatabaseSync } from 'node:sqlite'
import { PRIORITIES } from '../../../shared/alert/alert.ts'
import { atomically, damage } from './database.ts'

/** No file has more rows. A larger id is damaged, and from 2^53 on not exact as a number. */
const ID_MAX = 2 ** 52
const LEAST_SEVERE = PRIORITIES.length - 1
const NEWLINE = 0x0a
/** `{"rule":"r","priority":"p"}` and its newline. */
const ALERT_BYTES_MIN = 28

// Without constraints: for one value that breaks them, SQLite would give up the whole file.
const SCHEMA = `
  CREATE TABLE IF NOT EXISTS batches (id INTEGER PRIMARY KEY AUTOINCREMENT,
    alerts INTEGER, least_severe INTEGER, lines BLOB, checksum INTEGER);
  CREATE INDEX IF NOT EXISTS by_severity ON batches (least_severe, id);
  CREATE TABLE IF NOT EXISTS damaged (id INTEGER PRIMARY KEY,
    found TEXT, alerts INTEGER, lines BLOB);`
const NAMES = `'batches', 'by_severity', 'damaged', 'sqlite_sequence'`

export interface Row {
  readonly id: number
  readonly alerts: number
  readonly bytes: number
}

/** With the lines of its batch as Falco wrote them, each with its newline. */
export type SpooledBatch = Row & { readonly lines: Buffer }

/** A row as it is in the file, perhaps damaged. */
export interface StoredRow {
  readonly id: number
  readonly alerts: number
  readonly lines: Uint8Array
  /** Null in a row of an earlier version. */
  readonly checksum: number | null
}

/**
 * The query for the oldest row that matches, as numbers and bytes whatever is stored: not every INTEGER is
 * a JavaScript number. Ordered by `batches.id`, which is indexed, not by the number made of it.
 */
export const oldestRow = (where: string): string =>
  `SELECT CAST(id AS REAL) id, ifnull(CAST(alerts AS REAL), 0) alerts,
    ifnull(CAST(lines AS BLOB), x'') lines, CAST(checksum AS REAL) checksum
    FROM batches WHERE ${where} ORDER BY batches.id LIMIT 1`

/** CRC-32. Loads zlib with the first row: most starts find none. */
export const checksumOf = (lines: Buffer): number =>
  process.getBuiltinModule('node:zlib').crc32(lines)

/** Undefined when the lines are not those that were written. */
export function intactBatch({ id, checksum, ...row }: StoredRow): SpooledBatch | undefined {
  const lines = Buffer.from(row.lines.buffer, row.lines.byteOffset, row.lines.byteLength)
  if (lines.at(-1) !== NEWLINE) return undefined
  const alerts = newlinesIn(lines)
  const isIntact = checksum === null ? alerts === row.alerts : checksum === checksumOf(lines)
  return isIntact ? { id, alerts, bytes: lines.length, lines } : undefined
}

/** The number of alerts that a damaged row had: as stored, if plausible. */
function likelyAlerts({ alerts, lines }: StoredRow): number {
  const canBe = alerts > 0 && alerts * ALERT_BYTES_MIN <= lines.length
  return canBe ? alerts : Math.max(1, newlinesIn(lines))
}

function newlinesIn(bytes: Uint8Array): number {
  let count = 0
  for (let at = bytes.indexOf(NEWLINE); at >= 0; at = bytes.indexOf(NEWLINE, at + 1)) count++
  return count
}

/** Returns the highest id, and the ids of damaged rows. */
export function prepareTables(database: DatabaseSync) {
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
  return { lastId: moveStrays(database, lastId), damagedIds: checkRows(database) }
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

/** Corrects the numbers of alerts, and so their sum. Returns the ids of damaged rows. */
function checkRows(database: DatabaseSync): number[] {
  const next = database.prepare(oldestRow('id > ?'))
  const setAlerts = database.prepare('UPDATE batches SET alerts = ? WHERE id = ?')
  const rowBehind = (id: number) => next.get(id) as StoredRow | undefined
  const ids: number[] = []
  for (let row = rowBehind(0); row; row = rowBehind(row.id)) {
    const batch = intactBatch(row)
    if (!batch) ids.push(row.id)
    const alerts = batch?.alerts ?? likelyAlerts(row)
    if (alerts !== row.alerts) setAlerts.run(alerts, row.id)
  }
  return ids
}
