// Which files are adopted, and what is in their place then.

import { execFileSync } from 'node:child_process'
import {
  appendFileSync,
  chownSync,
  existsSync,
  linkSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { describe, expect, it } from 'vitest'
import { adopt, lookUp } from '../../../src/forward/input/adoption.ts'
import type { AdoptedFile } from '../../../src/forward/input/input.ts'
import { FatalError } from '../../../src/shared/errors.ts'
import { tempDir } from '../../support/temp.ts'

const isRoot = process.getuid!() === 0
const NOBODY = 65534

function textOf(file: AdoptedFile): string {
  const buffer = Buffer.alloc(1024)
  return buffer.toString('utf8', 0, file.read(buffer))
}

describe('adopt', () => {
  it('puts a pipe in the place of a file, and reads that, with what is added', () => {
    using dir = tempDir()
    const path = dir.file('nats')
    writeFileSync(path, 'one\n')
    const file = adopt(path)!
    expect(statSync(path).isFIFO()).toBe(true)
    expect(statSync(path).mode & 0o777).toBe(0o622)
    expect([file.size, file.unkept, file.name]).toEqual([4, undefined, `${path}.adopted`])
    expect([textOf(file), textOf(file)]).toEqual(['one\n', ''])
    appendFileSync(`${path}.adopted`, 'two\n')
    expect(file.left()).toBe(4)
    expect(textOf(file)).toBe('two\n')
    file.unread(2)
    expect(textOf(file)).toBe('o\n')
    file.remove()
    expect(readdirSync(dir.path)).toEqual(['nats'])
    file.close()
  })

  it.each<[what: string, build: (path: string) => void]>([
    ['is left', (path) => writeFileSync(`${path}.adopted`, 'x\n')],
    [
      'is left with its pipe',
      (path) => {
        writeFileSync(`${path}.adopted`, 'x\n')
        execFileSync('mkfifo', [path])
      },
    ],
    [
      'has both names',
      (path) => {
        writeFileSync(path, 'x\n')
        linkSync(path, `${path}.adopted`)
        execFileSync('mkfifo', [`${path}.next`])
      },
    ],
  ])('goes on with a file that %s', (_, build) => {
    using dir = tempDir()
    const path = dir.file('nats')
    build(path)
    const file = adopt(path)!
    expect(textOf(file)).toBe('x\n')
    expect(existsSync(path) ? statSync(path).isFIFO() : true).toBe(true)
    file.remove()
    file.close()
    expect(readdirSync(dir.path).filter((name) => name !== 'nats')).toEqual([])
  })

  it('removes no file that is not the one it has read', () => {
    using dir = tempDir()
    writeFileSync(dir.file('nats'), 'x\n')
    const file = adopt(dir.file('nats'))!
    rmSync(dir.file('nats.adopted'))
    writeFileSync(dir.file('nats.adopted'), 'of another process')
    file.remove()
    file.close()
    expect(readFileSync(dir.file('nats.adopted'), 'utf8')).toBe('of another process')
  })

  it.each<[what: string, build: (path: string) => void]>([
    ['nothing', () => {}],
    ['a pipe', (path) => execFileSync('mkfifo', [path])],
    ['a directory', (path) => mkdirSync(path)],
    [
      'a link to a file',
      (path) => {
        writeFileSync(`${path}.real`, 'secret')
        symlinkSync(`${path}.real`, path)
      },
    ],
    [
      'a link in the place of the file that is left',
      (path) => {
        writeFileSync(`${path}.real`, 'secret')
        symlinkSync(`${path}.real`, `${path}.adopted`)
      },
    ],
  ])('leaves alone %s', (_, build) => {
    using dir = tempDir()
    build(dir.file('nats'))
    const before = readdirSync(dir.path)
    expect(adopt(dir.file('nats'))).toBeUndefined()
    expect(readdirSync(dir.path)).toEqual(before)
  })

  it.each<[what: string, needsRoot: boolean, build: (path: string) => void, reason: RegExp]>([
    [
      'has another name',
      false,
      (path) => {
        writeFileSync(`${path}.other`, 'secret')
        linkSync(`${path}.other`, path)
      },
      /not read as a file of Falco's/,
    ],
    [
      "is another user's",
      true,
      (path) => {
        writeFileSync(path, 'x')
        chownSync(path, NOBODY, NOBODY)
      },
      /not read as a file of Falco's/,
    ],
    [
      'is beside one that is left',
      false,
      (path) => {
        writeFileSync(path, 'x')
        writeFileSync(`${path}.adopted`, 'y')
      },
      /move one of them away, and forward it by falco-nats -f - < FILE/,
    ],
    [
      'has a file in the way',
      false,
      (path) => {
        writeFileSync(path, 'x')
        writeFileSync(`${path}.next`, 'y')
      },
      /nats\.next is in the way: move it away/,
    ],
    [
      'has a directory in the place of its second name',
      false,
      (path) => {
        writeFileSync(path, 'x')
        mkdirSync(`${path}.adopted`)
      },
      /nats\.adopted is in the way: move it away/,
    ],
    [
      'has a link to nothing there',
      false,
      (path) => {
        writeFileSync(path, 'x')
        symlinkSync('/nowhere', `${path}.adopted`)
      },
      /nats\.adopted is in the way: move it away/,
    ],
    [
      'has a pipe there',
      false,
      (path) => {
        writeFileSync(path, 'x')
        execFileSync('mkfifo', [`${path}.adopted`])
      },
      /nats\.adopted is in the way: move it away/,
    ],
  ])('changes nothing where a file %s', (_, needsRoot, build, reason) => {
    if (needsRoot && !isRoot) return
    using dir = tempDir()
    build(dir.file('nats'))
    const before = readdirSync(dir.path)
    expect(() => lookUp(dir.file('nats'))).toThrow(reason)
    expect(() => adopt(dir.file('nats'))).toThrow(FatalError)
    expect(() => adopt(dir.file('nats'))).toThrow(reason)
    expect(readdirSync(dir.path)).toEqual(before)
    expect(statSync(dir.file('nats')).isFile()).toBe(true)
  })
})

it('looks up what it would read, and changes nothing', () => {
  using dir = tempDir()
  expect(lookUp(dir.file('nats'))).toBeUndefined()
  writeFileSync(dir.file('nats'), 'four')
  expect(lookUp(dir.file('nats'))).toEqual({ name: dir.file('nats'), size: 4 })
  expect(readdirSync(dir.path)).toEqual(['nats'])
})
