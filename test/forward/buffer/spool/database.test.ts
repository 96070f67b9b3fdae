// The file of the spool: its log after a crash, and who may read it.

import {
  chmodSync,
  copyFileSync,
  readdirSync,
  readFileSync,
  statSync,
  writeFileSync,
} from 'node:fs'
import { describe, expect, it } from 'vitest'
import { openSpool } from '../../../../src/forward/buffer/spool/spool.ts'
import { type TempDir, tempDir } from '../../../support/temp.ts'

const MIB = 1024 * 1024

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
