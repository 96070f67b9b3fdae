// How a reader leaves a pipe where it is: real pipes, whose writers are this process.

import { closeSync, constants, openSync, writeSync } from 'node:fs'
import { expect, it } from 'vitest'
import { systemInputs } from '../../../src/forward/input/system-inputs.ts'
import { tempDir } from '../../support/temp.ts'

/** A pipe that is read alone, into a buffer of 8 bytes; `leave` returns what it passed on, and whether it has closed. */
async function setUp() {
  const dir = tempDir()
  const path = dir.file('nats')
  const pipe = systemInputs.openPipe(path)
  const reader = pipe.reader()
  const writer = openSync(path, constants.O_WRONLY | constants.O_NONBLOCK)
  await pipe.close()
  return {
    writer,
    leave() {
      const buffer = Buffer.alloc(8)
      const texts: string[] = []
      const isClosed = reader.leave(buffer, (length) =>
        texts.push(buffer.toString('latin1', 0, length)),
      )
      return { texts, isClosed }
    },
    [Symbol.dispose]() {
      reader.close()
      dir[Symbol.dispose]()
    },
  }
}

it('passes on what a writer has left behind, and leaves right behind it', async () => {
  using pipe = await setUp()
  writeSync(pipe.writer, 'line\n')
  closeSync(pipe.writer)
  expect(pipe.leave()).toEqual({ texts: ['line\n'], isClosed: true })
})

it('passes on what it has read where a writer stays', async () => {
  using pipe = await setUp()
  writeSync(pipe.writer, 'line\n')
  expect(pipe.leave()).toEqual({ texts: ['line\n'], isClosed: false })
  closeSync(pipe.writer)
})

it('passes on more than its buffer holds', async () => {
  using pipe = await setUp()
  writeSync(pipe.writer, 'a long line\n')
  closeSync(pipe.writer)
  expect(pipe.leave()).toEqual({ texts: ['a long l', 'ine\n'], isClosed: true })
})

it('looks 5 ms for a writer that leaves before it closes where there is none', async () => {
  using pipe = await setUp()
  closeSync(pipe.writer)
  const since = performance.now()
  expect(pipe.leave()).toEqual({ texts: [], isClosed: true })
  expect(performance.now() - since).toBeGreaterThan(5)
})
