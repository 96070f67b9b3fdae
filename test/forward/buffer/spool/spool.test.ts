import { readdirSync, statSync, writeFileSync } from 'node:fs'
import { StatementSync } from 'node:sqlite'
import { describe, expect, it, vi } from 'vitest'
import { openSpool } from '../../../../src/forward/buffer/spool/spool.ts'
import { FatalError } from '../../../../src/shared/errors.ts'
import { tempDir } from '../../../support/temp.ts'

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
      for (; lines.length < spool.room(); rows++) spool.append(lines, 1, 7)
      return rows
    }
    const rows = fill()
    expect(rows).toBeGreaterThan(25)
    expect(sizeOf(dir.path)).toBeLessThanOrEqual(8 * MIB)
    for (let n = 0; n < rows; n++) spool.remove(spool.after(0)!)
    expect(fill()).toBe(rows)
    expect(sizeOf(dir.path)).toBeLessThanOrEqual(8 * MIB)
    // Beyond what room() allows, SQLite itself holds the limit.
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
