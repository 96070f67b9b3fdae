// A disk that fails, for a process of ours: real EIO and ENOSPC, by a library that stands before libc.

import { execFileSync } from 'node:child_process'
import { rmSync, writeFileSync } from 'node:fs'
import type { TempDir } from './temp.ts'

export interface FailingDisk {
  /** For `falcoNats`. */
  readonly env: Record<string, string>
  /** From now on; whatever failed before does no longer. */
  fail(...what: ('read' | 'write' | 'sync' | 'full')[]): void
  recover(): void
}

/** For files whose path has `part` in it. Undefined, with the reason printed, without a C compiler. */
export function failingDisk(dir: TempDir, part = 'spool.db'): FailingDisk | undefined {
  const library = dir.file('eio.so')
  const source = new URL('./eio.c', import.meta.url).pathname
  try {
    execFileSync('cc', ['-shared', '-fPIC', '-O1', '-o', library, source, '-ldl'], {
      stdio: 'pipe',
    })
  } catch (error) {
    console.info(`skipped, no library can be compiled here: ${(error as Error).message.trim()}`)
    return undefined
  }
  const flag = dir.file('eio.flag')
  return {
    env: { LD_PRELOAD: library, EIO_FLAG: flag, EIO_PATH: part },
    fail: (...what) => writeFileSync(flag, what.join(' ')),
    recover: () => rmSync(flag, { force: true }),
  }
}
