// When much comes: what is read at the end of each pause, and what cuts a pause short.

import { describe, expect, it } from 'vitest'
import type { Input } from '../../../src/forward/input/input.ts'
import { readPaced } from '../../../src/forward/input/read-paced.ts'
import { createVirtualTime, settled } from '../../simulation/virtual-clock.ts'

const LINE = `${'x'.repeat(99)}\n`
const READ_BYTES = 4096

/** An input that counts looks, its writer, and a sink that is full from `maxLines` on. */
function setUp(maxLines = Number.POSITIVE_INFINITY, mayPause = true) {
  const time = createVirtualTime()
  const stop = new AbortController()
  let [waiting, text, looks, isFlowing] = ['', '', 0, true]
  let end: Error | 'end' | undefined
  let onEvent = () => {}
  let makeRoom: (() => void) | undefined

  function read(buffer: Buffer): number | undefined {
    if (end instanceof Error) throw end
    if (waiting === '') return end ? 0 : undefined
    const length = buffer.write(waiting, 'latin1')
    waiting = waiting.slice(length)
    return length
  }
  const input: Input = {
    read(buffer) {
      looks++
      return read(buffer)
    },
    flow: (buffer, onRead) =>
      new Promise((resolve) => {
        onEvent = () => {
          while (isFlowing && (waiting || end)) {
            const length = read(buffer)
            if (!length) return resolve()
            isFlowing = onRead(length)
          }
        }
      }),
    pause() {
      isFlowing = false
    },
    resume() {
      isFlowing = true
      if (!(end instanceof Error)) onEvent()
    },
    async close() {},
  }
  const lines = () => text.length / LINE.length
  const sink = {
    write(chunk: Buffer) {
      text += chunk.toString('latin1')
      return lines() < maxLines
    },
    lines,
    room: () =>
      new Promise<void>((resolve) => {
        makeRoom = resolve
      }),
  }
  const clock = time.clockFor()
  const done = readPaced(clock, input, Buffer.alloc(READ_BYTES), sink, stop.signal, mayPause)
  done.catch(() => {})

  function put(): void {
    waiting += LINE
    onEvent()
  }

  /** Lets time pass, with lines at a steady rate. */
  async function pass(ms: number, perSecond: number): Promise<void> {
    const from = time.now()
    for (let n = 1; n <= (ms * perSecond) / 1000; n++) time.at(from + (n * 1000) / perSecond, put)
    time.at(from + ms, () => {})
    while (time.next(from + ms)) await settled()
  }

  return {
    done,
    pass,
    lines,
    bytes: () => text.length,
    /** Puts lines into the input, of which no event comes. */
    fill(count: number) {
      waiting += LINE.repeat(count)
    },
    looks: () => looks,
    isFlowing: () => isFlowing,
    isFull: () => makeRoom !== undefined,
    stop: () => stop.abort(),
    end(how: Error | 'end') {
      end = how
    },
    async makeRoom() {
      maxLines = Number.POSITIVE_INFINITY
      makeRoom!()
      await settled()
    },
    /** Whether something was due: it is done. */
    hasTimers: () => time.next(),
  }
}

it('reads with each event while little comes', async () => {
  const { pass, lines, looks, isFlowing } = setUp()
  await pass(5_000, 200)
  expect([lines(), looks(), isFlowing()]).toEqual([1_000, 0, true])
})

it('reads with each event whatever comes, where another process may make its reads wait', async () => {
  const { pass, lines, looks, isFlowing } = setUp(Number.POSITIVE_INFINITY, false)
  await pass(1_000, 4_000)
  expect([lines(), looks(), isFlowing()]).toEqual([4_000, 0, true])
})

it('looks every few milliseconds while much comes, and reads with each event again', async () => {
  const { pass, lines, looks, isFlowing } = setUp()
  await pass(1_000, 4_000)
  expect(isFlowing()).toBe(false)
  expect(looks()).toBeGreaterThan(150)
  expect(looks()).toBeLessThan(250)
  await pass(100, 0)
  expect([lines(), isFlowing()]).toEqual([4_000, true])
  const before = looks()
  await pass(1_000, 100)
  expect([lines(), looks()]).toEqual([4_100, before])
})

it('looks no more while the sink is full, and at once when it has room', async () => {
  const { pass, lines, looks, isFull, makeRoom, isFlowing } = setUp(500)
  await pass(1_000, 1_000)
  expect([isFull(), isFlowing()]).toEqual([true, false])
  expect(lines()).toBeLessThan(600)
  const before = looks()
  await pass(1_000, 100)
  expect(looks()).toBe(before)
  await makeRoom()
  expect(looks()).toBeGreaterThan(before)
  await pass(100, 0)
  expect([lines(), isFlowing()]).toEqual([1_100, true])
})

describe('in a pause', () => {
  const busy = async (maxLines?: number) => {
    const all = setUp(maxLines)
    await all.pass(500, 1_000)
    expect(all.isFlowing()).toBe(false)
    return all
  }

  it('ends at a stop, and leaves no timer', async () => {
    const { done, stop, looks, hasTimers, lines } = await busy()
    const before = looks()
    stop()
    expect(await done).toBe(false)
    expect(hasTimers()).toBe(false)
    expect([looks(), lines() > 490]).toEqual([before, true])
  })

  it('ends at a stop while the sink is full', async () => {
    const { done, stop, looks, makeRoom, hasTimers } = await busy(100)
    const before = looks()
    stop()
    expect(await done).toBe(false)
    await makeRoom()
    expect([looks(), hasTimers()]).toEqual([before, false])
  })

  it('meets the end of the input behind its last line', async () => {
    const { done, end, pass, lines } = await busy()
    end('end')
    await pass(50, 0)
    expect(await done).toBe(true)
    expect(lines()).toBe(500)
  })

  it('meets the end with the next look', async () => {
    const { end, pass, hasTimers } = await busy()
    end('end')
    await pass(5, 0)
    expect(hasTimers()).toBe(false)
  })

  it('reads no more than 64 KiB with a look, however much there is', async () => {
    const { fill, bytes, pass, hasTimers } = await busy()
    fill(10_000)
    const before = bytes()
    expect(hasTimers()).toBe(true)
    expect(bytes() - before).toBe(64 * 1024)
    await pass(100, 0)
    expect(bytes() - before).toBe(10_000 * LINE.length)
  })

  it('meets an error', async () => {
    const { done, end, pass } = await busy()
    end(new Error('EIO: i/o error, read'))
    await pass(50, 0)
    await expect(done).rejects.toThrow('EIO')
  })
})
