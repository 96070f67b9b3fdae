import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

export interface TempDir extends Disposable {
  readonly path: string
  file(name: string): string
}

/** A fresh directory, removed when the scope ends. */
export function tempDir(): TempDir {
  const path = mkdtempSync(join(tmpdir(), 'falco-nats-test-'))
  return {
    path,
    file: (name) => join(path, name),
    [Symbol.dispose]: () => rmSync(path, { recursive: true, force: true }),
  }
}
