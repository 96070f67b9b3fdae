// The pipe as the batcher gets it: every byte once, in order, whatever pauses and whenever a stop comes.

import {
  closeSync,
  constants,
  mkdirSync,
  openSync,
  readdirSync,
  renameSync,
  statSync,
  symlinkSync,
  writeSync,
} from 'node:fs'
import { describe, expect, it } from 'vitest'
import { ensureFifo } from '../../../src/forward/input/fifo.ts'
import type { ChunkSink } from '../../../src/forward/input/read-rest.ts'
import { openSource } from '../../../src/forward/input/source.ts'
import { systemInputs } from '../../../src/forward/input/system-inputs.ts'
import { type Clock, systemClock } from '../../../src/shared/clock.ts'
import { FatalError } from '../../../src/shared/errors.ts'
import { createNotifier } from '../../../src/shared/notifier.ts'
import { type TempDir, tempDir } from '../../support/temp.ts'
import { until } from '../../support/wait.ts'

const READ_BYTES = 4096
const never = new AbortController().signal

/** A sink that holds at most `maxBytes` until it is emptied. */
class Sink implements ChunkSink {
  readonly #maxBytes: number
  readonly #roomAgain = createNotifier()
  #held = 0
  text = ''
  /** Whether the source waits for room. */
  isWaiting = false
  ended: { isCutOff: boolean } | undefined

  constructor(maxBytes = Number.POSITIVE_INFINITY) {
    this.#maxBytes = maxBytes
  }
  empty() {
    this.#held = 0
    this.#roomAgain.notify()
  }
  write(chunk: Buffer) {
    expect(chunk.length).toBeLessThanOrEqual(READ_BYTES)
    this.text += chunk.toString('latin1')
    this.#held += chunk.length
    return this.#held < this.#maxBytes
  }
  async room(stop: AbortSignal) {
    stop.addEventListener('abort', this.#roomAgain.notify, { once: true })
    this.isWaiting = true
    await this.#roomAgain.wait()
    this.isWaiting = false
  }
  lines() {
    return this.text.split('\n').length - 1
  }
  isMidLine() {
    return this.text !== '' && !this.text.endsWith('\n')
  }
  end(isCutOff: boolean) {
    this.ended = { isCutOff }
  }
}

function setUp(dir: TempDir, sink = new Sink(), hurry = never, clock = systemClock) {
  const system = { inputs: systemInputs, clock }
  const notAside: string[] = []
  let staying = 0
  const source = openSource(dir.file('nats'), READ_BYTES, system, {
    notAside: (reason) => notAside.push(reason),
    writerStays: () => staying++,
  })
  const stop = new AbortController()
  const done = source.pump(sink, stop.signal, hurry)
  done.catch(() => {})
  return { source, sink, notAside, staying: () => staying, done, stop: () => stop.abort() }
}

const openWriter = (dir: TempDir) =>
  openSync(dir.file('nats'), constants.O_WRONLY | constants.O_NONBLOCK)

function write(dir: TempDir, text: string): void {
  const writer = openWriter(dir)
  writeSync(writer, text)
  closeSync(writer)
}

const inode = (dir: TempDir) => statSync(dir.file('nats')).ino
const received = (sink: Sink, text: string) => until('all is read', () => sink.text === text)

it('reads a pipe of many writers, one after the other, until the stop', async () => {
  using dir = tempDir()
  const { source, sink, notAside, done, stop } = setUp(dir)
  expect(source.kind).toBe('pipe')
  write(dir, 'a\nb\n')
  await received(sink, 'a\nb\n')
  write(dir, `${'c'.repeat(3 * READ_BYTES)}\n`)
  await received(sink, `a\nb\n${'c'.repeat(3 * READ_BYTES)}\n`)
  expect(sink.ended).toBeUndefined()
  stop()
  await done
  expect([sink.ended, notAside]).toEqual([{ isCutOff: false }, []])
})

it('stops reading while the sink is full, and goes on when there is room', async () => {
  using dir = tempDir()
  const { sink, done, stop } = setUp(dir, new Sink(2 * READ_BYTES))
  const text = `${'x'.repeat(99)}\n`.repeat(300)
  write(dir, text)
  await until('it waits for room', () => sink.isWaiting)
  expect(sink.text.length).toBe(2 * READ_BYTES)
  await until('all is read', () => {
    if (sink.isWaiting) sink.empty()
    return sink.text === text
  })
  stop()
  await done
  expect(sink.text).toBe(text)
})

describe('at a stop', () => {
  it('reads what is in the pipe although the sink is full, and leaves a new pipe in its place', async () => {
    using dir = tempDir()
    const { sink, done, stop } = setUp(dir, new Sink(1))
    const before = inode(dir)
    const text = `${'x'.repeat(99)}\n`.repeat(300)
    write(dir, text)
    await until('it waits for room', () => sink.isWaiting)
    stop()
    await done
    expect([sink.text, sink.ended]).toEqual([text, { isCutOff: false }])
    expect(inode(dir)).not.toBe(before)
    expect(readdirSync(dir.path)).toEqual(['nats'])
    // A Falco that goes on waits for the next start.
    expect(() => openWriter(dir)).toThrow(/ENXIO/)
  })

  it('waits for the end of a line that has begun', async () => {
    using dir = tempDir()
    const { sink, done, stop } = setUp(dir)
    const writer = openWriter(dir)
    writeSync(writer, 'half a')
    await received(sink, 'half a')
    stop()
    await until('it is set aside', () => {
      try {
        closeSync(openWriter(dir))
        return false
      } catch {
        return true
      }
    })
    writeSync(writer, ' line\n')
    closeSync(writer)
    await done
    expect([sink.text, sink.ended]).toEqual(['half a line\n', { isCutOff: false }])
  })

  it('gives up a line whose end does not come, and reports it cut off', async () => {
    using dir = tempDir()
    const { sink, done, stop } = setUp(dir)
    const writer = openWriter(dir)
    writeSync(writer, 'half a')
    await received(sink, 'half a')
    stop()
    await done
    expect([sink.text, sink.ended]).toEqual(['half a', { isCutOff: true }])
    closeSync(writer)
  })

  it('waits for no writer in a hurry, but reads what is there', async () => {
    using dir = tempDir()
    const { sink, done, stop } = setUp(dir, new Sink(1), AbortSignal.abort())
    const writer = openWriter(dir)
    writeSync(writer, 'a\nhalf a')
    await until('it waits for room', () => sink.isWaiting)
    writeSync(writer, ' line')
    stop()
    const since = performance.now()
    await done
    expect([sink.text, sink.ended]).toEqual(['a\nhalf a line', { isCutOff: true }])
    expect(performance.now() - since).toBeLessThan(1_900)
    closeSync(writer)
  })

  it('reads to the end though the pipe cannot be set aside, with the reason once', async () => {
    using dir = tempDir()
    ensureFifo(dir.file('real/nats'))
    symlinkSync(dir.file('real/nats'), dir.file('nats'))
    const before = inode(dir)
    const { sink, notAside, done, stop } = setUp(dir, new Sink(1))
    write(dir, 'a\nb\n')
    await until('it waits for room', () => sink.isWaiting)
    write(dir, 'c\n')
    stop()
    await done
    expect([sink.text, inode(dir)]).toEqual(['a\nb\nc\n', before])
    expect(notAside).toEqual(['it is a symbolic link'])
  })

  it('has the reason of an obstacle that came after the start', async () => {
    using dir = tempDir()
    const { notAside, done, stop } = setUp(dir)
    mkdirSync(dir.file('nats.next'))
    expect(notAside).toEqual([])
    stop()
    await done
    expect(notAside).toEqual([expect.stringMatching(/File exists/)])
  })
})

it('rejects when the pipe is replaced, with all that was read before in the sink', async () => {
  using dir = tempDir()
  let look = () => {}
  const every: Clock['every'] = (ms, step) => {
    expect(ms).toBe(5_000)
    look = step
    return { [Symbol.dispose]() {} }
  }
  const { sink, done } = setUp(dir, new Sink(), never, { ...systemClock, every })
  write(dir, 'a\n')
  await received(sink, 'a\n')
  look()
  write(dir, 'b\n')
  await received(sink, 'a\nb\n')
  renameSync(dir.file('nats'), dir.file('old'))
  look()
  await expect(done).rejects.toThrow(/the pipe .* was removed or replaced; start again/)
  await expect(done).rejects.toBeInstanceOf(FatalError)
  expect(sink.ended).toBeDefined()
  // What another process put in its place, or took away, is left as it is.
  expect(readdirSync(dir.path)).toEqual(['old'])
})

it('throws where something else is', () => {
  using dir = tempDir()
  const system = { inputs: systemInputs, clock: systemClock }
  const warnings = { notAside: expect.fail, writerStays: expect.fail }
  expect(() => openSource(dir.path, READ_BYTES, system, warnings)).toThrow(/is a directory/)
})
