// A regular file where the pipe should be, which Falco made since it was first: a pipe takes its place, and its alerts are read.

import fs from 'node:fs'
import { dirname } from 'node:path'
import { FatalError, messageOf } from '../../shared/errors.ts'
import { mkfifo } from './fifo.ts'
import type { AdoptedFile } from './input.ts'
import { isLeftover, nextTo } from './set-aside.ts'

const { O_RDONLY, O_NOFOLLOW, O_NONBLOCK } = fs.constants

/** The file's second name, so that a crash before its alerts are confirmed does not lose them: the next start reads it. */
export const adoptedName = (path: string) => `${path}.adopted`

/**
 * Puts a pipe in the place of the regular file at `path`, if one is there, and opens that, or the file that an earlier start
 * left. Undefined where there is neither; throws a FatalError.
 */
export function adopt(path: string): AdoptedFile | undefined {
  try {
    const found = lookUp(path)
    if (found === undefined) return undefined
    const { name, size } = found
    const fd = openOwn(name)
    try {
      const keptBy = name === path ? replace(path, fd) : undefined
      return opened(fd, adoptedName(path), size, keptBy)
    } catch (error) {
      fs.closeSync(fd)
      throw error
    }
  } catch (error) {
    if (error instanceof FatalError) throw error
    throw new FatalError(`cannot adopt the file ${path}: ${messageOf(error)}`)
  }
}

/** What `adopt` would read, after the same checks: changes nothing. */
export function lookUp(path: string): { name: string; size: number } | undefined {
  const [file, left] = [path, adoptedName(path)].map(regular)
  if (!file && !left) return undefined
  // It may have ended between the two steps of `replace`.
  if (file && left && file.ino !== left.ino)
    throw new FatalError(
      `${path} is a regular file, and ${adoptedName(path)} is left from an earlier start: ` +
        `move one of them away, and forward it by falco-nats -f - < FILE`,
    )
  const name = file ? path : adoptedName(path)
  if (file) {
    if (!left) mustBeFree(adoptedName(path))
    if (!isLeftover(nextTo(path))) mustBeFree(nextTo(path))
  }
  fs.closeSync(openOwn(name))
  return { name, size: (file ?? left)!.size }
}

/** It is not ours to remove. */
const inTheWay = (name: string) =>
  new FatalError(`${name} is in the way: move it away, and start again`)

function mustBeFree(name: string): void {
  if (fs.lstatSync(name, { throwIfNoEntry: false })) throw inTheWay(name)
}

export const leftAdopted = (path: string) =>
  regular(adoptedName(path)) ? adoptedName(path) : undefined

const regular = (path: string) => {
  const stat = fs.lstatSync(path, { throwIfNoEntry: false })
  return stat?.isFile() ? stat : undefined
}

/** Follows no link: the directory may be writable by others, who must not choose what we read. */
function openOwn(name: string): number {
  const fd = fs.openSync(name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK)
  const { uid, nlink, ino } = fs.fstatSync(fd)
  const owners = [0, process.geteuid!(), fs.statSync(dirname(name)).uid]
  const names = regular(adoptedName(name))?.ino === ino ? 2 : 1
  if (fs.fstatSync(fd).isFile() && owners.includes(uid) && nlink === names) return fd
  fs.closeSync(fd)
  throw new FatalError(
    `${name} is not read as a file of Falco's: it has other names, or an owner who is neither root nor falco-nats nor the owner of the directory`,
  )
}

/** Returns why the file has no second name, if so. Falco's next open meets the pipe. */
function replace(path: string, fd: number): string | undefined {
  const next = nextTo(path)
  if (isLeftover(next)) fs.rmSync(next)
  mkfifo(next)
  try {
    const unkept = nameAgain(path)
    const { ino } = fs.fstatSync(fd)
    // Something else may have come to its second name in this moment.
    if (unkept === undefined && regular(adoptedName(path))?.ino !== ino)
      throw inTheWay(adoptedName(path))
    if (fs.lstatSync(path).ino !== ino)
      throw new FatalError(`${path} was replaced while it was being adopted; start again`)
    fs.renameSync(next, path)
    return unkept
  } catch (error) {
    fs.rmSync(next, { force: true })
    throw error
  }
}

function nameAgain(path: string): string | undefined {
  try {
    fs.linkSync(path, adoptedName(path))
    return undefined
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException
    // Left by an earlier start that ended in between, or in the way: the caller looks.
    if (code === 'EEXIST') return undefined
    // Another user's file (fs.protected_hardlinks), or a file system without links.
    if (code === 'EPERM') return messageOf(error)
    throw error
  }
}

function opened(fd: number, name: string, size: number, unkept: string | undefined): AdoptedFile {
  const { ino } = fs.fstatSync(fd)
  let at = 0
  return {
    name,
    size,
    unkept,
    read(buffer) {
      const length = fs.readSync(fd, buffer, 0, buffer.length, at)
      at += length
      return length
    },
    unread(bytes) {
      at -= bytes
    },
    left: () => Math.max(0, fs.fstatSync(fd).size - at),
    remove() {
      if (regular(name)?.ino === ino) fs.rmSync(name)
    },
    close: () => fs.closeSync(fd),
  }
}
