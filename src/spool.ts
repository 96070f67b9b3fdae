// The spool: batches on disk, oldest first, in an SQLite file of its own (node:sqlite). What is in it
// outlives us: a stop, a crash, a power cut. One process at a time.

import { accessSync, constants, mkdirSync, renameSync, statSync } from 'node:fs'
import { join } from 'node:path'
import type { DatabaseSync, StatementSync } from 'node:sqlite'
import { FatalError } from './errors.ts'

/** A row: the lines of one batch, each with its newline, as Falco wrote them. */
export interface SpooledBatch {
  readonly id: number
  readonly lines: Buffer
  readonly alerts: number
}

export interface Spool extends Disposable {
  /** Alerts in it. */
  alerts(): number
  /** Batches in it. */
  rows(): number
  /** Bytes of lines in it. */
  bytes(): number
  /** What its files may come to. */
  readonly limitBytes: number
  /** What moved a file aside at the opening, for the log. */
  readonly movedAside: string | undefined
  hasRoom(bytes: number): boolean
  /** Adds at the end; on disk when it returns. Throws when the disk does not take it. */
  append(lines: Buffer, alerts: number, leastSevere: number): number
  /** The oldest row behind `id`. Throws when the file is damaged. */
  after(id: number): SpooledBatch | undefined
  remove(id: number): void
  /** Removes a row that was delivered. When the disk does not let it go, the next call tries again. */
  release(id: number): void
  /** The least severe priority in the rows behind `id`, as an index into PRIORITIES; or -1. */
  leastSevereAfter(id: number): number
  /** The oldest row behind `id` whose least severe alert is as severe as that. */
  oldestWith(leastSevere: number, id: number): SpooledBatch | undefined
  replace(id: number, lines: Buffer, alerts: number, leastSevere: number): void
}

/** Left for the write-ahead log beside the file, so that both together keep the limit. */
const WAL_BYTES = 1024 * 1024
const PAGE_BYTES = 4096
/** What a row may need beyond its lines: its own page, the index, a page that is split. */
const ROW_PAGES = 8

const SCHEMA = `
  CREATE TABLE IF NOT EXISTS batches (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    alerts INTEGER NOT NULL,
    least_severe INTEGER NOT NULL,
    lines BLOB NOT NULL
  ) STRICT;
  CREATE INDEX IF NOT EXISTS by_severity ON batches (least_severe, id);`

/**
 * Opens `directory`/spool.db, making both. A file that is damaged is moved aside and a new one begun.
 * Throws a FatalError when another process has it open, an Error when it cannot be used.
 */
export async function openSpool(directory: string, limitBytes: number): Promise<Spool> {
  const { DatabaseSync } = await importSqlite()
  const path = join(directory, 'spool.db')
  mkdirSync(directory, { recursive: true, mode: 0o700 })
  accessSync(directory, constants.R_OK | constants.W_OK | constants.X_OK)
  let movedAside: string | undefined
  const open = () => {
    const database = new DatabaseSync(path)
    try {
      prepareDatabase(database, limitBytes)
    } catch (error) {
      database.close()
      throw error
    }
    return database
  }
  let database: DatabaseSync
  try {
    database = open()
  } catch (error) {
    if (isLocked(error))
      throw new FatalError(
        `--spool-dir ${directory} is in use by another process; give each its own`,
      )
    if (!isDamaged(error)) throw error
    movedAside = moveAside(path)
    database = open()
  }
  return createSpool(database, limitBytes, movedAside)
}

function prepareDatabase(database: DatabaseSync, limitBytes: number): void {
  // FULL: a commit is on the disk, so that a power cut takes nothing. EXCLUSIVE: the lock is kept
  // from the first write on, so that a second process cannot even begin.
  database.exec(`
    PRAGMA page_size = ${PAGE_BYTES};
    PRAGMA locking_mode = EXCLUSIVE;
    PRAGMA journal_mode = WAL;
    PRAGMA synchronous = FULL;
    PRAGMA wal_autocheckpoint = ${WAL_BYTES / 4 / PAGE_BYTES};
    PRAGMA journal_size_limit = ${WAL_BYTES};
    PRAGMA max_page_count = ${Math.floor((limitBytes - WAL_BYTES) / PAGE_BYTES)};
    BEGIN IMMEDIATE;
    ${SCHEMA}
    COMMIT;`)
  const { quick_check } = database.prepare('PRAGMA quick_check(1)').get() as { quick_check: string }
  if (quick_check !== 'ok') throw Object.assign(new Error(quick_check), { errcode: SQLITE_CORRUPT })
}

function createSpool(
  database: DatabaseSync,
  limitBytes: number,
  movedAside: string | undefined,
): Spool {
  const statement = (sql: string): StatementSync => database.prepare(sql)
  const sums = statement(
    'SELECT count(*) rows, total(alerts) alerts, total(length(lines)) bytes FROM batches',
  )
  const insert = statement('INSERT INTO batches (alerts, least_severe, lines) VALUES (?, ?, ?)')
  const next = statement('SELECT id, alerts, lines FROM batches WHERE id > ? ORDER BY id LIMIT 1')
  const sizeOf = statement('SELECT alerts, length(lines) bytes FROM batches WHERE id = ?')
  const drop = statement('DELETE FROM batches WHERE id = ?')
  const leastSevere = statement('SELECT max(least_severe) least FROM batches WHERE id > ?')
  const oldest = statement(
    'SELECT id, alerts, lines FROM batches WHERE least_severe = ? AND id > ? ORDER BY id LIMIT 1',
  )
  const update = statement(
    'UPDATE batches SET alerts = ?, least_severe = ?, lines = ? WHERE id = ?',
  )
  const pages = statement(`SELECT max_page_count - page_count + freelist_count AS free
    FROM pragma_max_page_count, pragma_page_count, pragma_freelist_count`)
  let { rows, alerts, bytes } = sums.get() as { rows: number; alerts: number; bytes: number }

  /** Rows that were delivered and are still in the file. */
  const released: number[] = []

  function dropReleased(): void {
    for (let id = released[0]; id !== undefined; id = released[0]) {
      drop.run(id)
      released.shift()
    }
  }

  const measure = (id: number) => sizeOf.get(id) as { alerts: number; bytes: number } | undefined

  function subtract(row: ReturnType<typeof measure>): void {
    alerts -= row?.alerts ?? 0
    bytes -= row?.bytes ?? 0
  }

  const spooled = (row: unknown): SpooledBatch | undefined => {
    if (row === undefined) return undefined
    const { id, alerts, lines } = row as { id: number; alerts: number; lines: Uint8Array }
    return { id, alerts, lines: Buffer.from(lines.buffer, lines.byteOffset, lines.byteLength) }
  }

  return {
    alerts: () => alerts,
    rows: () => rows,
    bytes: () => bytes,
    limitBytes,
    movedAside,
    hasRoom: (more) => more / PAGE_BYTES + ROW_PAGES < (pages.get() as { free: number }).free,
    append(lines, count, least) {
      const { lastInsertRowid } = insert.run(count, least, lines)
      rows++
      alerts += count
      bytes += lines.length
      return Number(lastInsertRowid)
    },
    after: (id) => spooled(next.get(id)),
    remove(id) {
      const row = measure(id)
      drop.run(id)
      subtract(row)
      rows--
    },
    release(id) {
      subtract(measure(id))
      rows--
      released.push(id)
      dropReleased()
    },
    leastSevereAfter: (id) => (leastSevere.get(id) as { least: number | null }).least ?? -1,
    oldestWith: (least, id) => spooled(oldest.get(least, id)),
    replace(id, lines, count, least) {
      const row = measure(id)
      update.run(count, least, lines, id)
      subtract(row)
      alerts += count
      bytes += lines.length
    },
    [Symbol.dispose]() {
      if (!database.isOpen) return
      try {
        dropReleased()
      } catch {
        // They are sent again at the next start.
      }
      database.close()
    },
  }
}

/** Node 22 and 24 warn that it is experimental, on the standard error that is our log. */
async function importSqlite() {
  const { emitWarning } = process
  process.emitWarning = () => {}
  try {
    return await import('node:sqlite')
  } finally {
    process.emitWarning = emitWarning
  }
}

/** SQLite's result codes (sqlite.org/rescode.html). */
const SQLITE_BUSY = 5
const SQLITE_CORRUPT = 11
const SQLITE_NOTADB = 26

const errcode = (error: unknown) => ((error as { errcode?: number }).errcode ?? 0) & 0xff
const isLocked = (error: unknown) => errcode(error) === SQLITE_BUSY

/** Whether the file itself is broken, so that it is of no use to try again. */
export const isDamaged = (error: unknown) =>
  errcode(error) === SQLITE_CORRUPT || errcode(error) === SQLITE_NOTADB

/** Renames the file and its log, for a person to look into. Gives the new name. */
function moveAside(path: string): string {
  const aside = `${path}.damaged-${new Date().toISOString().replace(/[:.]/g, '-')}`
  for (const suffix of ['', '-wal', '-shm'])
    if (statSync(path + suffix, { throwIfNoEntry: false }))
      renameSync(path + suffix, aside + suffix)
  return aside
}
