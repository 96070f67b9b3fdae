// Disks of their own for a test, which root can mount.

import { execFileSync } from 'node:child_process'
import { mkdirSync } from 'node:fs'

/** A disk at `path`, while the scope lasts. Undefined, with the reason printed, without root. */
export function mountDisk(path: string, ...mount: string[]): Disposable | undefined {
  mkdirSync(path)
  try {
    execFileSync('mount', [...mount, path], { stdio: 'pipe' })
  } catch (error) {
    console.info(`skipped: a disk cannot be mounted here: ${(error as Error).message.trim()}`)
    return undefined
  }
  return { [Symbol.dispose]: () => execFileSync('umount', ['-l', path]) }
}

/** A disk in memory, of so many MiB. */
export const smallDisk = (path: string, mebibytes = 3) =>
  mountDisk(path, '-t', 'tmpfs', '-o', `size=${mebibytes}m`, 'falco-nats-test')
