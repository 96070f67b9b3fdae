// Errors as node:sqlite and node:fs throw them, with SQLite's extended result codes (sqlite.org/rescode.html).

const sqlite = (errcode: number, errstr: string) => () =>
  Object.assign(new Error(errstr), { code: 'ERR_SQLITE_ERROR', errcode, errstr })

const system = (code: string, text: string) => () =>
  Object.assign(new Error(`${code}: ${text}`), { code })

export const DISK_ERRORS = {
  full: sqlite(13, 'database or disk is full'),
  readOnly: sqlite(8, 'attempt to write a readonly database'),
  read: sqlite(266, 'disk I/O error'),
  write: sqlite(778, 'disk I/O error'),
  sync: sqlite(1034, 'disk I/O error'),
  corrupt: sqlite(11, 'database disk image is malformed'),
  locked: sqlite(5, 'database is locked'),
  idTaken: sqlite(1555, 'constraint failed'),
  /** Of a read of the file past SQLite. */
  readItself: system('EIO', 'i/o error, read'),
  openReadOnly: system('EROFS', 'read-only file system, access'),
  closed: () => Object.assign(new Error('database is not open'), { code: 'ERR_INVALID_STATE' }),
}
