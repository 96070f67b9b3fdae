// Rows and tables that are not as they were written: what is kept aside, repaired, brought up to date.

import { DatabaseSync, StatementSync } from 'node:sqlite'
import { describe, expect, it, vi } from 'vitest'
import { openSpool, type Spool } from '../../../../src/forward/buffer/spool/spool.ts'
import { type TempDir, tempDir } from '../../../support/temp.ts'

const MIB = 1024 * 1024

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

  it('is delivered although no id in the file is a JavaScript number', async () => {
    using dir = tempDir()
    await three(dir)
    tamper(dir, 'UPDATE batches SET id = id - 9000000000000000000')
    using spool = await openSpool(dir.path, 8 * MIB)
    expect(drain(spool)).toEqual(THREE)
  })

  it.each([
    ['one', 'id = 0 WHERE id = 1'],
    ['the next one', 'id = 4503599627370497 WHERE id = 1'],
    ['two', 'id = CASE id WHEN 1 THEN -9223372036854775808 ELSE 4503599627370500 END WHERE id < 3'],
  ])('is delivered, with %s invalid, when the highest id is taken', async (_, change) => {
    using dir = tempDir()
    await three(dir)
    tamper(dir, `UPDATE batches SET id = 4503599627370496 WHERE id = 3`)
    tamper(dir, `UPDATE batches SET ${change}`)
    using spool = await openSpool(dir.path, 8 * MIB)
    spool.append(Buffer.from('four\n'), 1, 5)
    expect(drain(spool).sort()).toEqual(['four\n', ...THREE].sort())
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
