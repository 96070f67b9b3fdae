// An SQLite file of one process, with one owner: opened, checked, and moved aside when it is damaged.

import fs from 'node:fs'
import { basename, dirname, join } from 'node:path'
import type { DatabaseSync } from 'node:sqlite'
import type { Clock } from '../../../shared/clock.ts'
import { isCutShort } from './wal.ts'

/** Left for the write-ahead log beside the file, so that both together keep the limit. */
const WAL_BYTES = 1024 * 1024
const PAGE_BYTES = 4096

export const pagesWithin = (limitBytes: number): number =>
  Math.floor((limitBytes - WAL_BYTES) / PAGE_BYTES)

export interface DatabaseFile {
  readonly path: string
  /** Of the file and its log together. */
  readonly limitBytes: number
  /** The new path of a file that was damaged at the opening. */
  readonly movedAside: string | undefined
  /** The path of a copy of the log, of which SQLite could recover only the beginning. */
  readonly cutLog: string | undefined
}

/** Opens `path`, making it. A file that this or `use` finds damaged is moved aside and a new one begun. */
export async function openDatabase<T>(
  path: string,
  limitBytes: number,
  clock: Clock,
  use: (database: DatabaseSync, file: DatabaseFile) => T,
): Promise<T> {
  const { DatabaseSync } = await import('node:sqlite')
  const open = (movedAside?: string): T => {
    keepPrivate(path)
    const database = new DatabaseSync(path)
    try {
      lock(database, limitBytes)
      // Before the first write, which overwrites what was not recovered.
      const cutLog = keepCutLog(path, clock)
      // Otherwise each start that ends without a write would copy the same log again.
      if (cutLog !== undefined) database.exec('PRAGMA wal_checkpoint(TRUNCATE)')
      checkStructure(database)
      return use(database, { path, limitBytes, movedAside, cutLog })
    } catch (error) {
      database.close()
      throw error
    }
  }
  try {
    return open()
  } catch (error) {
    if (!isDamaged(error) && errcode(error) !== SQLITE_ERROR) throw error
    using reader = openReader(path)
    const failure = reader.failure()
    if (failure) throw failure
    return open(moveAside(path, clock))
  }
}

/** Throws when the disk does not answer. */
const exists = (path: string) => fs.statSync(path, { throwIfNoEntry: false }) !== undefined

/** Earlier versions made files that all could read. SQLite gives the log the mode of the file. */
function keepPrivate(path: string): void {
  for (const entry of fs.readdirSync(dirname(path))) {
    if (!entry.startsWith(basename(path))) continue
    const file = join(dirname(path), entry)
    const stat = fs.lstatSync(file, { throwIfNoEntry: false })
    if (!stat?.isFile() || stat.uid !== process.getuid!() || (stat.mode & 0o077) === 0) continue
    try {
      fs.chmodSync(file, 0o600)
    } catch {
      // Not every file system has modes.
    }
  }
  if (!exists(path)) fs.writeFileSync(path, '', { flag: 'a', mode: 0o600 })
}

function lock(database: DatabaseSync, limitBytes: number): void {
  // FULL: a power cut takes no commit. EXCLUSIVE: the lock stays from the first write on, so that a
  // second process cannot even begin.
  database.exec(`
    PRAGMA page_size = ${PAGE_BYTES};
    PRAGMA locking_mode = EXCLUSIVE;
    PRAGMA journal_mode = WAL;
    PRAGMA synchronous = FULL;
    PRAGMA wal_autocheckpoint = ${WAL_BYTES / 4 / PAGE_BYTES};
    PRAGMA journal_size_limit = ${WAL_BYTES};
    PRAGMA max_page_count = ${pagesWithin(limitBytes)};
    BEGIN IMMEDIATE;
    COMMIT;`)
}

function checkStructure(database: DatabaseSync): void {
  const check = () => database.prepare('PRAGMA integrity_check(1)').get()!.integrity_check as string
  if (check() === 'ok') return
  // An index can be made again from its table.
  database.exec('REINDEX')
  const result = check()
  if (result !== 'ok') throw damage(result)
}

/** Runs `step` as a whole or not at all. */
export function atomically(database: DatabaseSync, step: () => void): void {
  database.exec('BEGIN IMMEDIATE')
  try {
    step()
    database.exec('COMMIT')
  } catch (error) {
    if (database.isTransaction) database.exec('ROLLBACK')
    throw error
  }
}

/** SQLite's result codes (sqlite.org/rescode.html). */
const [SQLITE_ERROR, SQLITE_BUSY, SQLITE_CORRUPT, SQLITE_NOTADB] = [1, 5, 11, 26]

const errcode = (error: unknown) => ((error as { errcode?: number }).errcode ?? 0) & 0xff
export const isLocked = (error: unknown) => errcode(error) === SQLITE_BUSY

/** Whether the file itself is broken, so that trying again is useless. */
export const isDamaged = (error: unknown) =>
  errcode(error) === SQLITE_CORRUPT || errcode(error) === SQLITE_NOTADB

/** An error for damage that SQLite does not see. */
export const damage = (text: string) => Object.assign(new Error(text), { errcode: SQLITE_CORRUPT })

/**
 * Separates damage from a failing disk, as SQLite does not: `failure` is the error of the first read of the
 * file and its log that fails. Keep it while the database is open: closing any descriptor gives up the lock.
 */
export function openReader(path: string): Disposable & { failure(): Error | undefined } {
  const fds: number[] = []
  const buffer = Buffer.allocUnsafe(256 * 1024)
  const read = (fd: number, at: number) => fs.readSync(fd, buffer, 0, buffer.length, at)
  /** Where it failed last, to be tried first. */
  let failedAt = 0
  return {
    failure() {
      let at = 0
      try {
        for (const file of [path, `${path}-wal`].slice(fds.length))
          if (exists(file)) fds.push(fs.openSync(file, 'r'))
        for (const fd of fds) read(fd, failedAt)
        for (const fd of fds) for (at = 0; read(fd, at) > 0; at += buffer.length);
      } catch (error) {
        failedAt = at || failedAt
        return error as Error
      }
    },
    [Symbol.dispose]: () => fds.forEach(fs.closeSync),
  }
}

/** Where a damaged file goes. */
export const asidePath = (path: string, clock: Clock): string =>
  `${path}.damaged-${new Date(clock.date()).toISOString().replace(/[:.]/g, '-')}`

function keepCutLog(path: string, clock: Clock): string | undefined {
  const log = `${path}-wal`
  if (!exists(log) || !isCutShort(fs.readFileSync(log))) return undefined
  const aside = `${asidePath(path, clock)}-wal`
  fs.copyFileSync(log, aside)
  return aside
}

/** Renames the file and its log, for an operator to inspect. Returns the new path. */
function moveAside(path: string, clock: Clock): string {
  const aside = asidePath(path, clock)
  for (const suffix of ['', '-wal', '-shm'])
    if (exists(path + suffix)) fs.renameSync(path + suffix, aside + suffix)
  return aside
}
