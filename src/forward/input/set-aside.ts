// At a stop the pipe is set aside: a new one takes its place, and the old one is read to its end.

import fs from 'node:fs'
import { dirname, join } from 'node:path'
import { messageOf } from '../../shared/errors.ts'
import { mkfifo } from './fifo.ts'

const { O_RDONLY, O_WRONLY, O_NONBLOCK, W_OK, X_OK } = fs.constants
/** The new pipe, until it is in its place: one name, so that a leftover is found again. */
export const nextTo = (path: string) => `${path}.next`
/** Bits of CapEff (capabilities(7)). */
const [CAP_CHOWN, CAP_FOWNER] = [0n, 3n]

/**
 * Puts a new pipe at `path`, whose writers wait for our next start, and returns a descriptor that reads the old one to
 * its end. Otherwise Falco would write into the old one until we close it, and lose that. Throws where it cannot be done.
 */
export function setAside(path: string, fd: number): number {
  const next = nextTo(path)
  const { dev, ino, mode, uid, gid } = fs.fstatSync(fd)
  const there = fs.lstatSync(path)
  if (there.dev !== dev || there.ino !== ino) throw new Error('something else is at its path')
  if (isLeftover(next)) fs.rmSync(next)
  mkfifo(next)
  try {
    fs.chmodSync(next, mode & 0o7777)
    fs.chownSync(next, uid, gid)
    const reader = fs.openSync(`/proc/self/fd/${fd}`, O_RDONLY | O_NONBLOCK)
    fs.renameSync(next, path)
    return reader
  } catch (error) {
    fs.rmSync(next, { force: true })
    throw error
  }
}

/** Why `setAside` would fail, as far as can be seen without changing or opening anything that Falco may use. */
export function whyNotAside(path: string): string | undefined {
  try {
    const pipe = fs.lstatSync(path)
    if (pipe.isSymbolicLink()) return 'it is a symbolic link'
    if (isMountPoint(path)) return 'it is mounted by itself'
    fs.accessSync(dirname(path), W_OK | X_OK)
    const directory = fs.statSync(dirname(path))
    const user = process.geteuid!()
    const groups = [process.getegid!(), ...process.getgroups!()]
    // In a setgid directory the new pipe has the group of the directory.
    if ((directory.mode & 0o2000) !== 0) groups.push(directory.gid)
    const isSticky = (directory.mode & 0o1000) !== 0 && ![directory.uid, pipe.uid].includes(user)
    if (isSticky && !hasCapability(CAP_FOWNER)) return 'its directory is sticky and not ours'
    const isOurs = pipe.uid === user && groups.includes(pipe.gid)
    if (!isOurs && !hasCapability(CAP_CHOWN)) return 'it belongs to another user or group'
    const next = nextTo(path)
    if (fs.lstatSync(next, { throwIfNoEntry: false }) && !isLeftover(next))
      return `${next} is in the way`
    return isOnPath('mkfifo') ? undefined : 'there is no mkfifo on PATH'
  } catch (error) {
    return messageOf(error)
  }
}

/** Whether a pipe is there that no process reads: it was made and did not get to its place. */
export function isLeftover(path: string): boolean {
  if (!fs.lstatSync(path, { throwIfNoEntry: false })?.isFIFO()) return false
  try {
    fs.closeSync(fs.openSync(path, O_WRONLY | O_NONBLOCK))
    return false
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'ENXIO'
  }
}

function isMountPoint(path: string): boolean {
  const unescaped = (text: string) =>
    text.replace(/\\(\d{3})/g, (_, octal) => String.fromCharCode(Number.parseInt(octal, 8)))
  // The fifth field is the mount point (proc_pid_mountinfo(5)).
  const mounts = fs.readFileSync('/proc/self/mountinfo', 'latin1').split('\n')
  const real = fs.realpathSync(path)
  return mounts.some((mount) => unescaped(mount.split(' ')[4] ?? '') === real)
}

function hasCapability(bit: bigint): boolean {
  const effective = /^CapEff:\s*(\w+)/m.exec(fs.readFileSync('/proc/self/status', 'utf8'))![1]!
  return ((BigInt(`0x${effective}`) >> bit) & 1n) === 1n
}

function isOnPath(program: string): boolean {
  const canRun = (directory: string) => {
    try {
      fs.accessSync(join(directory, program), X_OK)
      return true
    } catch {
      return false
    }
  }
  return process.env.PATH?.split(':').some(canRun) ?? true
}
