// A disk that fails: a library for LD_PRELOAD, and the file that makes it do so.

import { spawnSync } from 'node:child_process'
import { rmSync, writeFileSync } from 'node:fs'
import type { TempDir } from './temp.ts'

const SOURCE = new URL('eio.c', import.meta.url).pathname

export interface FailingDisk {
  /** For the program whose reads and writes of `spool.db` and its log are to fail. */
  readonly env: Readonly<Record<string, string>>
  fail(): void
  heal(): void
}

/** Undefined, with the reason printed, where there is no C compiler. */
export function failingDisk(dir: TempDir): FailingDisk | undefined {
  const library = dir.file('eio.so')
  const built = spawnSync('cc', ['-shared', '-fPIC', '-O1', '-o', library, SOURCE, '-ldl'], {
    encoding: 'utf8',
  })
  if (built.status !== 0) {
    console.info(`skipped: a disk that fails: ${built.error?.message ?? built.stderr.trim()}`)
    return undefined
  }
  const flag = dir.file('eio')
  return {
    env: { LD_PRELOAD: library, EIO_FLAG: flag },
    fail: () => writeFileSync(flag, ''),
    heal: () => rmSync(flag, { force: true }),
  }
}
