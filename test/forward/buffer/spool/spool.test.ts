import {
  chmodSync,
  copyFileSync,
  readdirSync,
  readFileSync,
  statSync,
  writeFileSync,
} from 'node:fs'
import { DatabaseSync, StatementSync } from 'node:sqlite'
import { describe, expect, it, vi } from 'vitest'
import { openSpool, type Spool } from '../../../../src/forward/buffer/spool/spool.ts'
import { FatalError } from '../../../../src/shared/errors.ts'
import { type TempDir, tempDir } from '../../../support/temp.ts'

const MIB = 1024 * 1024
const sizeOf = (directory: string) =>
  readdirSync(directory).reduce((sum, file) => sum + statSync(`${directory}/${file}`).size, 0)

describe('openSpool', () => {
  it('gives back what was put in, in order, after it was opened again', async () => {
    using dir = tempDir()
    {
      using spool = await openSpool(dir.file('a/b'), 8 * MIB)
      for (const text of ['one\n', 'two\ntwo\n', 'three\n'])
        spool.append(Buffer.from(text), text.split('\n').length - 1, 5)
      spool.remove(spool.after(0)!)
    }
    using spool = await openSpool(dir.file('a/b'), 8 * MIB)
    expect([spool.rows(), spool.alerts(), spool.bytes()]).toEqual([2, 3, 14])
    const first = spool.after(0)!
    expect([String(first.lines), first.alerts]).toEqual(['two\ntwo\n', 2])
    expect(String(spool.after(first.id)!.lines)).toBe('three\n')
    expect(statSync(dir.file('a/b')).mode & 0o777).toBe(0o700)
  })

  it('keeps its files within the limit, and uses what was freed', async () => {
    using dir = tempDir()
    using spool = await openSpool(dir.path, 8 * MIB)
    const lines = Buffer.from(`${'x'.repeat(199_999)}\n`)
    const fill = () => {
      let rows = 0
      for (; spool.hasRoom(lines.length); rows++) spool.append(lines, 1, 7)
      return rows
    }
    const rows = fill()
    expect(rows).toBeGreaterThan(25)
    expect(sizeOf(dir.path)).toBeLessThanOrEqual(8 * MIB)
    for (let n = 0; n < rows; n++) spool.remove(spool.after(0)!)
    expect(fill()).toBe(rows)
    expect(sizeOf(dir.path)).toBeLessThanOrEqual(8 * MIB)
    // Beyond what hasRoom allows, SQLite itself holds the limit.
    expect(() => spool.append(Buffer.alloc(4 * MIB), 1, 7)).toThrow(/full/)
    expect(spool.rows()).toBe(rows)
  })

  it('lets go later of delivered rows that the disk kept', async () => {
    using dir = tempDir()
    const { run } = StatementSync.prototype
    const failing = vi.spyOn(StatementSync.prototype, 'run').mockImplementation(function (
      this: StatementSync,
      ...values
    ) {
      if (this.sourceSQL.startsWith('DELETE')) throw new Error('disk')
      return run.apply(this, values)
    })
    {
      using spool = await openSpool(dir.path, 8 * MIB)
      const rows = [1, 2, 3].map((n) => spool.append(Buffer.from(`${n}\n`), 1, 5))
      expect(() => spool.release(rows[0]!)).toThrow('disk')
      expect([spool.rows(), spool.alerts(), spool.bytes()]).toEqual([2, 2, 4])
      expect(() => spool.remove(rows[1]!)).toThrow('disk')
      expect([spool.rows(), spool.alerts(), spool.bytes()]).toEqual([2, 2, 4])
      expect(() => spool.release(rows[1]!)).toThrow('disk')
      failing.mockRestore()
    }
    using spool = await openSpool(dir.path, 8 * MIB)
    expect(spool.rows()).toBe(1)
    expect(String(spool.after(0)!.lines)).toBe('3\n')
  })

  it('is for one process, or one opener, at a time', async () => {
    using dir = tempDir()
    using _spool = await openSpool(dir.path, 8 * MIB)
    await expect(openSpool(dir.path, 8 * MIB)).rejects.toThrow(FatalError)
    await expect(openSpool(dir.path, 8 * MIB)).rejects.toThrow(/in use by another process/)
  })

  it.each([
    [
      'no database',
      Buffer.from('this is not a database, but it is longer than a header'.repeat(9)),
    ],
    ['a damaged one', undefined],
  ])('moves %s aside and begins anew', async (_, content) => {
    using dir = tempDir()
    {
      using spool = await openSpool(dir.path, 8 * MIB)
      for (let n = 0; n < 20; n++) spool.append(Buffer.alloc(100_000, 'x'), 1, 7)
    }
    const size = statSync(dir.file('spool.db')).size
    writeFileSync(dir.file('spool.db'), content ?? Buffer.alloc(size - 4096, 7), {
      flag: content ? 'w' : 'r+',
    })
    using spool = await openSpool(dir.path, 8 * MIB)
    expect(spool.rows()).toBe(0)
    expect(spool.movedAside).toMatch(/spool\.db\.damaged-2/)
    expect(statSync(spool.movedAside!).size).toBe(content?.length ?? size)
  })

  it('says what is wrong with a directory', async () => {
    await expect(openSpool('/dev/null/spool', 8 * MIB)).rejects.toThrow(/ENOTDIR/)
  })
})

/** Changes a spool that no process has open. */
function tamper(dir: TempDir, sql: string): void {
  const database = new DatabaseSync(dir.file('spool.db'), { defensive: false })
  database.exec(sql)
  database.close()
}

/** As openSpool made it before it had checksums. */
const FIRST_SCHEMA = `
  CREATE TABLE batches (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    alerts INTEGER NOT NULL,
    least_severe INTEGER NOT NULL,
    lines BLOB NOT NULL
  ) STRICT;
  CREATE INDEX by_severity ON batches (least_severe, id);`

/** What can be read of it, in order. */
function drain(spool: Spool): string[] {
  const read: string[] = []
  for (let row = spool.after(0); row; row = spool.after(0)) {
    read.push(String(row.lines))
    spool.release(row)
  }
  return read
}

const numbersOf = (spool: Spool) => [spool.rows(), spool.alerts(), spool.bytes()]

const line = (text: string) => `${text.padEnd(30, '.')}\n`
const THREE = [line('one').repeat(2), line('two').repeat(2), line('three')]
const TEXT = 'CAST(lines AS TEXT)'

describe('a row whose bytes have changed', () => {
  const three = async (dir: TempDir) => {
    using spool = await openSpool(dir.path, 8 * MIB)
    for (const text of THREE) spool.append(Buffer.from(text), text.split('\n').length - 1, 5)
  }

  it.each([
    ['its last newline', `lines = CAST(rtrim(${TEXT}, char(10)) || char(11) AS BLOB)`, 2],
    [
      'an inner newline',
      `lines = CAST(replace(${TEXT}, char(10) || 't', char(11) || 't') AS BLOB)`,
      2,
    ],
    ['a letter', `lines = CAST(replace(${TEXT}, 'w', 'v') AS BLOB)`, 2],
    ['all of it', 'lines = NULL, alerts = NULL', 1],
    ['all of it and its number', "lines = x'00', alerts = 9000000000000000000", 1],
    ['its checksum', 'checksum = checksum + 1', 2],
  ])('is kept aside, and the rest goes on: %s', async (_, change, lost) => {
    using dir = tempDir()
    await three(dir)
    tamper(dir, `UPDATE batches SET ${change} WHERE id = 2`)
    {
      using spool = await openSpool(dir.path, 8 * MIB)
      expect(spool.damaged()).toEqual({ rows: 1, alerts: lost })
      expect(numbersOf(spool)).toEqual([2, 3, 93])
      expect(drain(spool)).toEqual([THREE[0], THREE[2]])
    }
    using database = new DatabaseSync(dir.file('spool.db'))
    expect(database.prepare('SELECT count(*) rows FROM damaged').get()).toEqual({ rows: 1 })
    expect(database.prepare('SELECT count(*) rows FROM batches').get()).toEqual({ rows: 0 })
  })

  it.each([
    ['alerts', 'alerts = 70000'],
    ['alerts', 'alerts = -3'],
    ['alerts', "alerts = 'x'"],
    ['least_severe', 'least_severe = 9000000000000000000'],
    ['least_severe', 'least_severe = NULL'],
    ['id', 'id = -7'],
    ['id', 'id = 9223372036854775807'],
  ])('is delivered when only its %s is not what it was (%s)', async (_, change) => {
    using dir = tempDir()
    await three(dir)
    tamper(dir, `UPDATE batches SET ${change} WHERE id = 2`)
    using spool = await openSpool(dir.path, 8 * MIB)
    expect(numbersOf(spool)).toEqual([3, 5, 155])
    spool.append(Buffer.from('four\n'), 1, 5)
    expect(spool.leastSevereAfter(0)).toBeLessThan(8)
    expect(drain(spool).sort()).toEqual(['four\n', ...THREE].sort())
    expect([...numbersOf(spool), spool.damaged().rows]).toEqual([0, 0, 0, 0])
  })

  it('is found as well when it changes while the file is open', async () => {
    using dir = tempDir()
    using spool = await openSpool(dir.path, 8 * MIB)
    const rows = ['one', 'two', 'three'].map((text) => spool.append(Buffer.from(`${text}\n`), 1, 5))
    spool.replace(rows[1]!, Buffer.from('more\nthan\n'), 2, 5)
    const { get } = StatementSync.prototype
    using _changing = vi.spyOn(StatementSync.prototype, 'get').mockImplementation(function (
      this: StatementSync,
      ...values
    ) {
      const row = get.apply(this, values)
      if (row?.id === 2 && row.lines) (row.lines as Uint8Array)[4] = 0x0b
      return row
    })
    expect(drain(spool)).toEqual(['one\n', 'three\n'])
    expect(spool.damaged()).toEqual({ rows: 1, alerts: 2 })
    expect(numbersOf(spool)).toEqual([0, 0, 0])
  })

  it('takes no more than an eighth of the limit', async () => {
    using dir = tempDir()
    const lines = Buffer.from(`${'x'.repeat(199_999)}\n`)
    {
      using spool = await openSpool(dir.path, 8 * MIB)
      for (let n = 0; n < 20; n++) spool.append(lines, 1, 5)
    }
    tamper(dir, 'UPDATE batches SET checksum = 1')
    {
      using spool = await openSpool(dir.path, 8 * MIB)
      expect([spool.damaged(), spool.rows()]).toEqual([{ rows: 20, alerts: 20 }, 0])
    }
    using database = new DatabaseSync(dir.file('spool.db'))
    const { kept, last } = database
      .prepare('SELECT count(*) kept, max(id) last FROM damaged')
      .get()!
    expect([kept, last]).toEqual([5, 20])
  })

  it('does not lose the rows of a table whose name has changed', async () => {
    using dir = tempDir()
    await three(dir)
    tamper(dir, 'ALTER TABLE batches RENAME TO batchez')
    using spool = await openSpool(dir.path, 8 * MIB)
    expect([spool.rows(), spool.movedAside]).toEqual([0, expect.stringMatching(/damaged-2/)])
  })

  it('is found although the index lost it', async () => {
    using dir = tempDir()
    await three(dir)
    tamper(
      dir,
      `PRAGMA writable_schema = ON;
      UPDATE sqlite_schema SET sql = 'CREATE INDEX by_severity ON batches (alerts, id)'
        WHERE name = 'by_severity'`,
    )
    using spool = await openSpool(dir.path, 8 * MIB)
    expect(spool.movedAside).toBeUndefined()
    expect(drain(spool)).toHaveLength(3)
  })
})

describe('a spool of the first version', () => {
  it('is opened, and what can be checked in it is', async () => {
    using dir = tempDir()
    tamper(
      dir,
      `${FIRST_SCHEMA}
      INSERT INTO batches (alerts, least_severe, lines) VALUES
        (2, 5, CAST('one\none\n' AS BLOB)),
        (2, 5, CAST('two\vtwo\n' AS BLOB)),
        (1, 5, CAST('three\n' AS BLOB)),
        (1, 5, CAST('four' AS BLOB))`,
    )
    for (const opening of [1, 2]) {
      using spool = await openSpool(dir.path, 8 * MIB)
      expect(numbersOf(spool)).toEqual([2, 3, 14])
      expect(spool.damaged().rows).toBe(opening === 1 ? 2 : 0)
    }
    using spool = await openSpool(dir.path, 8 * MIB)
    spool.append(Buffer.from('five\n'), 1, 5)
    expect(drain(spool)).toEqual(['one\none\n', 'three\n', 'five\n'])
  })

  it('is as it was when it cannot be brought up to date', async () => {
    using dir = tempDir()
    tamper(dir, `${FIRST_SCHEMA} INSERT INTO batches VALUES (1, 1, 5, CAST('one\n' AS BLOB))`)
    const { exec } = DatabaseSync.prototype
    {
      using _failing = vi.spyOn(DatabaseSync.prototype, 'exec').mockImplementation(function (
        this: DatabaseSync,
        sql,
      ) {
        exec.call(this, sql)
        if (sql.startsWith('ALTER')) throw new Error('cut off')
      })
      await expect(openSpool(dir.path, 8 * MIB)).rejects.toThrow('cut off')
    }
    {
      using database = new DatabaseSync(dir.file('spool.db'))
      const names = database.prepare('SELECT name FROM pragma_table_info(?)').all('batches')
      expect(names).toHaveLength(4)
      expect(database.prepare('SELECT count(*) rows FROM batches').get()).toEqual({ rows: 1 })
    }
    using spool = await openSpool(dir.path, 8 * MIB)
    expect(drain(spool)).toEqual(['one\n'])
  })
})

describe('the log beside the file, after a crash', () => {
  const SUFFIXES = ['', '-wal']

  it('is taken for damaged only when it is', async () => {
    using dir = tempDir()
    using spool = await openSpool(dir.path, 8 * MIB)
    const lines = Buffer.from(`${'x'.repeat(59_999)}\n`)
    // The log begins anew several times.
    for (let rows = 1; rows <= 30; rows++) {
      spool.append(lines, 1, 5)
      using crashed = tempDir()
      for (const suffix of SUFFIXES)
        copyFileSync(dir.file(`spool.db${suffix}`), crashed.file(`spool.db${suffix}`))
      using next = await openSpool(crashed.path, 8 * MIB)
      expect([next.rows(), next.cutLog]).toEqual([rows, undefined])
    }
  })

  it.each([
    ['its header', 5],
    ['its first frame', 32 + 24 + 99],
  ])('is copied when %s is damaged, before it is written to', async (_, at) => {
    using dir = tempDir()
    using crashed = tempDir()
    {
      using spool = await openSpool(dir.path, 8 * MIB)
      for (const text of ['one\n', 'two\n']) spool.append(Buffer.from(text), 1, 5)
      for (const suffix of SUFFIXES)
        copyFileSync(dir.file(`spool.db${suffix}`), crashed.file(`spool.db${suffix}`))
    }
    const log = readFileSync(crashed.file('spool.db-wal'))
    log[at]! ^= 1
    writeFileSync(crashed.file('spool.db-wal'), log)
    using spool = await openSpool(crashed.path, 8 * MIB)
    expect(spool.rows()).toBe(0)
    expect(readFileSync(spool.cutLog!)).toEqual(log)
  })

  it('is copied once, although each start is killed before it writes', async () => {
    using dir = tempDir()
    using crashed = tempDir()
    using again = tempDir()
    const copy = (from: TempDir, to: TempDir) => {
      for (const suffix of SUFFIXES)
        copyFileSync(from.file(`spool.db${suffix}`), to.file(`spool.db${suffix}`))
    }
    {
      using _made = await openSpool(dir.path, 8 * MIB)
    }
    {
      using spool = await openSpool(dir.path, 8 * MIB)
      for (const text of ['one\n', 'two\n']) spool.append(Buffer.from(text), 1, 5)
      copy(dir, crashed)
    }
    const log = readFileSync(crashed.file('spool.db-wal'))
    log[32 + 24 + 99]! ^= 1
    writeFileSync(crashed.file('spool.db-wal'), log)
    using spool = await openSpool(crashed.path, 8 * MIB)
    expect(spool.cutLog).toBeDefined()
    copy(crashed, again)
    using next = await openSpool(again.path, 8 * MIB)
    expect(next.cutLog).toBeUndefined()
  })
})

it('keeps its files from others, and those of earlier versions', async () => {
  using dir = tempDir()
  for (const name of ['spool.db', 'spool.db.damaged-2026', 'other']) {
    writeFileSync(dir.file(name), '')
    chmodSync(dir.file(name), 0o644)
  }
  chmodSync(dir.path, 0o755)
  using spool = await openSpool(dir.path, 8 * MIB)
  spool.append(Buffer.from('one\n'), 1, 5)
  using other = await openSpool(dir.file('new/spool'), 8 * MIB)
  other.append(Buffer.from('one\n'), 1, 5)
  const modes = (path: string) =>
    Object.fromEntries(
      readdirSync(path).map((name) => [
        name,
        (statSync(`${path}/${name}`).mode & 0o777).toString(8),
      ]),
    )
  expect(modes(dir.path)).toEqual({
    'spool.db': '600',
    'spool.db-wal': '600',
    'spool.db.damaged-2026': '600',
    other: '644',
    new: '700',
  })
  expect(modes(dir.file('new/spool'))).toEqual({ 'spool.db': '600', 'spool.db-wal': '600' })
  expect(modes(dir.file('new'))).toEqual({ spool: '700' })
})
