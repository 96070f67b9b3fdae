// What a stop still reads, against writers that never pause: real pipes, written to between two reads.

import { closeSync, constants, openSync, writeSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import { type Input, PIPE_BYTES_MAX } from '../../../src/forward/input/input.ts'
import { readRest } from '../../../src/forward/input/read-rest.ts'
import { systemInputs } from '../../../src/forward/input/system-inputs.ts'
import { systemClock } from '../../../src/shared/clock.ts'
import { createVirtualTime, settled } from '../../simulation/virtual-clock.ts'
import { tempDir } from '../../support/temp.ts'
import { until } from '../../support/wait.ts'

const never = new AbortController().signal
const LINE = `${'x'.repeat(1022)}\n`

/** A pipe that is filled before each read with what `next` gives, until that is nothing. */
function setUp(next: () => string) {
  const dir = tempDir()
  const path = dir.file('nats')
  const input = systemInputs.openPipe(path)
  const writer = openSync(path, constants.O_WRONLY | constants.O_NONBLOCK)
  let text = ''
  let unwritten = Buffer.alloc(0)
  function fill(): void {
    try {
      for (;;) {
        if (unwritten.length === 0) unwritten = Buffer.from(next())
        if (unwritten.length === 0) return
        unwritten = unwritten.subarray(writeSync(writer, unwritten))
      }
    } catch (error) {
      expect(error).toMatchObject({ code: 'EAGAIN' })
    }
  }
  return {
    writer,
    fill,
    text: () => text,
    read: (isAside: boolean, hurry = never) =>
      readRest(
        systemClock,
        { writers: isAside ? 'leaving' : 'unseen', input },
        Buffer.alloc(4096),
        {
          write(chunk) {
            text += chunk.toString('latin1')
            fill()
          },
          isMidLine: () => text !== '' && !text.endsWith('\n'),
        },
        hurry,
      ),
    /** What is left in the pipe. */
    left(): string {
      const buffer = Buffer.alloc(PIPE_BYTES_MAX)
      return buffer.toString('latin1', 0, input.read(buffer) ?? 0)
    },
    [Symbol.dispose]() {
      input.close()
      closeSync(writer)
      dir[Symbol.dispose]()
    },
  }
}

describe('a writer that never pauses', () => {
  const endless = () => LINE

  it('is read as far as a pipe can hold, and to the end of its line: the next is left whole', async () => {
    using pipe = setUp(endless)
    pipe.fill()
    expect(await pipe.read(false)).toBe(true)
    expect(pipe.text().length).toBeGreaterThanOrEqual(PIPE_BYTES_MAX)
    expect(pipe.text().length).toBeLessThan(PIPE_BYTES_MAX + 4096 + LINE.length)
    expect(pipe.text()).toBe(LINE.repeat(pipe.text().length / LINE.length))
    expect(pipe.left().startsWith(LINE)).toBe(true)
  })

  it('is read twice as far where no other process reads the rest', async () => {
    using pipe = setUp(endless)
    pipe.fill()
    expect(await pipe.read(true)).toBe(true)
    expect(pipe.text().length).toBeGreaterThanOrEqual(2 * PIPE_BYTES_MAX)
  })

  it('leaves no line behind where no other process reads the rest', async () => {
    const lines = Array<string>(Math.ceil((PIPE_BYTES_MAX + 32_768) / LINE.length)).fill(LINE)
    lines.push('half a')
    using pipe = setUp(() => lines.shift() ?? '')
    pipe.fill()
    const reading = pipe.read(true)
    await until('the line has begun', () => pipe.text().endsWith('half a'))
    writeSync(pipe.writer, ` line\n${LINE}${LINE}`)
    expect(await reading).toBe(true)
    expect(lines).toEqual([])
    expect(pipe.left()).toBe('')
    expect(pipe.text().endsWith(`${LINE}half a line\n${LINE}${LINE}`)).toBe(true)
  })

  it('is not waited for with a line that has no end', async () => {
    using pipe = setUp(() => 'x'.repeat(1024))
    pipe.fill()
    expect(await pipe.read(false)).toBe(true)
    expect(pipe.text().length).toBeGreaterThanOrEqual(2 * PIPE_BYTES_MAX)
    expect(pipe.text().length).toBeLessThan(3 * PIPE_BYTES_MAX)
  })

  it('is read in a hurry, too', async () => {
    using pipe = setUp(endless)
    pipe.fill()
    expect(await pipe.read(true, AbortSignal.abort())).toBe(true)
    expect(pipe.text().length).toBeGreaterThanOrEqual(PIPE_BYTES_MAX)
  })
})

describe('a pipe that is empty', () => {
  it('is left at once where nothing was being written', async () => {
    using pipe = setUp(() => '')
    const since = performance.now()
    expect(await pipe.read(false)).toBe(true)
    expect(performance.now() - since).toBeLessThan(400)
  })

  it('has a writer two seconds to go on', async () => {
    using pipe = setUp(() => '')
    setTimeout(() => writeSync(pipe.writer, LINE), 200)
    const since = performance.now()
    expect(await pipe.read(true)).toBe(true)
    expect(pipe.text()).toBe(LINE)
    expect(performance.now() - since).toBeGreaterThan(700)
  })
})

describe('how long a stop waits', () => {
  const hurry = AbortSignal.abort()

  /** A pipe at a virtual time: `state` gives a line, or whether a process has it open, at each look. */
  async function wait(
    state: (ms: number) => 'open' | 'ended' | typeof LINE,
    options: { signal?: AbortSignal; suspendedMs?: number } = {},
  ) {
    const time = createVirtualTime()
    const chunks: string[] = []
    let looks = 0
    const input: Input = {
      read(buffer) {
        if (++looks === 2) time.block(options.suspendedMs ?? 0)
        const now = state(time.now())
        if (now === 'open') return undefined
        return now === 'ended' ? 0 : buffer.write(now, 'latin1')
      },
      flow: () => Promise.reject(new Error('is not for a stop')),
      pause() {},
      resume() {},
      async close() {},
    }
    let mayWriteOn: boolean | undefined
    readRest(
      time.clockFor(),
      { writers: 'leaving', input },
      Buffer.alloc(4096),
      {
        write: (chunk) => chunks.push(chunk.toString('latin1')),
        isMidLine: () => false,
      },
      options.signal ?? never,
    ).then((result) => {
      mayWriteOn = result
    })
    while (mayWriteOn === undefined && time.next()) await settled()
    return { mayWriteOn, ms: time.now(), lines: chunks.length, looks }
  }

  /** A line comes once, at the first look from then on. */
  function lineAt(from: number, before: 'open' | 'ended', after: 'open' | 'ended') {
    let hasCome = false
    return (ms: number) => {
      if (hasCome) return after
      hasCome = ms >= from
      return hasCome ? LINE : before
    }
  }

  it('reads what a writer writes within two seconds, or 100 ms in a hurry', async () => {
    const late = await wait(lineAt(1_990, 'open', 'ended'))
    expect(late).toMatchObject({ lines: 1, mayWriteOn: false })
    const hurried = await wait(lineAt(95, 'open', 'ended'), { signal: hurry })
    expect(hurried).toMatchObject({ lines: 1, mayWriteOn: false })
  })

  it.each([
    ['two seconds', never, 2_000],
    ['100 ms in a hurry', hurry, 100],
  ])('leaves a writer that writes nothing after %s', async (_, signal, graceMs) => {
    const { mayWriteOn, ms, lines } = await wait(() => 'open', { signal })
    expect([mayWriteOn, lines]).toEqual([true, 0])
    expect(ms).toBeGreaterThan(graceMs)
    expect(ms).toBeLessThan(graceMs + 20)
  })

  it('reads what a writer writes that opens the pipe 100 ms after it was set aside', async () => {
    const { mayWriteOn, ms, lines } = await wait(lineAt(95, 'ended', 'ended'))
    expect([mayWriteOn, lines]).toEqual([false, 1])
    // Another may come behind it.
    expect(ms).toBeGreaterThan(195)
    expect(ms).toBeLessThan(220)
  })

  it('leaves where no writer comes, in a hurry sooner', async () => {
    const { mayWriteOn, ms } = await wait(() => 'ended')
    expect(mayWriteOn).toBe(false)
    expect(ms).toBeGreaterThan(100)
    expect(ms).toBeLessThan(120)
    const hurried = await wait(() => 'ended', { signal: hurry })
    expect([hurried.mayWriteOn, hurried.ms < 20]).toEqual([false, true])
  })

  it.each([
    ['ended', '100 ms', 500],
    ['open', '100 ms in a hurry', 500, hurry],
  ] as const)(
    'looks ten times at a pipe that is %s though %s have passed in one go',
    async (state, _, suspendedMs, signal = never) => {
      const { looks } = await wait(() => state, { signal, suspendedMs })
      expect(looks).toBeGreaterThan(10)
    },
  )
})
