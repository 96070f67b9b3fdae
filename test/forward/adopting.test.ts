// An adopted file beside its pipe, with a clock that only waits move: what is read, what is kept, and what is reported.

import { describe, expect, it } from 'vitest'
import { createCounters } from '../../src/forward/accounting/counters.ts'
import { adoptFile } from '../../src/forward/adopting.ts'
import type { AdoptedFile, Inputs } from '../../src/forward/input/input.ts'
import type { ChunkSink } from '../../src/forward/input/read-rest.ts'
import { type Clock, systemClock } from '../../src/shared/clock.ts'
import { recordingLog } from '../support/recording-log.ts'

const never = new AbortController().signal
const BUFFER_BYTES = 64
const MIB = 1024 * 1024

/** `onRead` is called before each read of the file. */
function setUp(text: string, { unkept, onRead = () => {} }: Partial<Hooks> = {}) {
  let bytes = Buffer.from(text)
  let [at, time, isRemoved] = [0, 0, false]
  const repeated: (() => void)[] = []
  const clock: Clock = {
    ...systemClock,
    now: () => time,
    async delay(ms, signal) {
      await systemClock.afterPoll()
      signal?.throwIfAborted()
      time += ms
      for (const step of repeated) step()
    },
    every(_ms, step) {
      repeated.push(step)
      return { [Symbol.dispose]: () => void repeated.splice(repeated.indexOf(step), 1) }
    },
  }
  const file: AdoptedFile = {
    name: '/run/nats.adopted',
    size: bytes.length,
    unkept,
    read(buffer) {
      onRead(api)
      const length = bytes.copy(buffer, 0, at)
      at += length
      return length
    },
    unread(count) {
      at -= count
    },
    left: () => bytes.length - at,
    remove() {
      isRemoved = true
    },
    close() {},
  }
  const counters = createCounters()
  const { log, lines } = recordingLog()
  let [taken, isMidLine, ended] = ['', false, false]
  const sink: ChunkSink = {
    write(chunk) {
      taken += chunk.toString('latin1')
      isMidLine = chunk.at(-1) !== 0x0a
      return true
    },
    lines: () => 0,
    isMidLine: () => isMidLine,
    room: async () => {},
    end() {
      ended = true
    },
  }
  const api = {
    now: () => time,
    append(more: string) {
      bytes = Buffer.concat([bytes, Buffer.from(more)])
    },
    counters,
    sink,
    taken: () => taken,
    isRemoved: () => isRemoved,
    messages: () => lines.map(({ msg }) => String(msg)),
    /** Until `until`; then the pipe ends. */
    async run(until: (sink: ChunkSink) => boolean | undefined, stop: AbortSignal = never) {
      const inputs = { adopt: () => file } as unknown as Inputs
      const adopted = adoptFile('/run/nats', BUFFER_BYTES, { clock, inputs }, counters, log)!
      const pump = adopted.before(async (piped) => {
        while (!until(piped)) await systemClock.afterPoll()
        piped.end(false)
      })
      await pump(sink, stop, never)
      expect(ended).toBe(true)
      adopted.end()
    },
  }
  return api
}
interface Hooks {
  unkept: string
  onRead(api: { append(more: string): void; now(): number }): void
}

const REMOVED = 'all alerts of the file are confirmed or spooled: it is removed'
const KEPT =
  'the adopted file was not read to its end: it is kept, and the next start forwards it again'

describe('the file', () => {
  it('is removed when it has been quiet for a minute, or at the end', async () => {
    const long = setUp('one\n')
    const seen: boolean[] = []
    await long.run(() => {
      seen[long.now() < 60_000 ? 0 : 1] = long.isRemoved()
      return long.now() > 70_000
    })
    expect(seen).toEqual([false, true])
    const short = setUp('one\n')
    await short.run(() => true)
    expect(short.messages().at(-1)).toBe(REMOVED)
  })

  it('is kept where its alerts are not delivered', async () => {
    const { run, counters, isRemoved } = setUp('one\n')
    counters.read = 1
    await run(() => true)
    expect(isRemoved()).toBe(false)
  })

  it('stays until the end once a late line has come', async () => {
    const each = setUp('one\n')
    await each.run(() => {
      if (each.now() > 10_000 && !each.taken().includes('two')) each.append('two\n')
      expect(each.isRemoved()).toBe(false)
      return each.now() > 200_000
    })
    expect(each.taken()).toBe('one\ntwo\n')
    expect(each.messages().filter((text) => text.includes('still writes'))).toHaveLength(1)
    expect(each.isRemoved()).toBe(true)
  })

  it('is kept, with a warning, when more is left at the end than is read then', async () => {
    const each = setUp('one\n')
    await each.run(() => {
      each.append('0123456789abcde\n'.repeat((5 * MIB) / 16))
      return true
    })
    expect(each.taken().length).toBeGreaterThanOrEqual(4 * MIB)
    expect(each.taken().length).toBeLessThan(5 * MIB)
    expect(each.isRemoved()).toBe(false)
    expect(each.messages()).toContain(KEPT)
  })

  it('is a loss when it has no name, and more has come behind the end', async () => {
    const each = setUp('one\n', { unkept: 'EPERM' })
    await each.run(() => {
      each.append('half a line')
      return true
    })
    expect(each.messages()).toContain('the adopted file was not read to its end: the rest is lost')
    expect(each.counters.read).toBe(1)
  })

  it('is kept after a read error, and the pipe is read on', async () => {
    const each = setUp('one\n', {
      onRead({ now }) {
        if (now() > 5_000) throw new Error('EIO')
      },
    })
    let looks = 0
    await each.run((piped) => {
      const isOver = each.now() > 5_000 && ++looks > 100
      if (isOver) piped.write(Buffer.from('piped\n'))
      return isOver
    })
    expect(each.taken()).toBe('one\npiped\n')
    expect(each.isRemoved()).toBe(false)
    expect(each.messages().at(-1)).toBe('the file cannot be read: it is kept')
  })
})

describe('reading', () => {
  it('goes over to the pipe when a writer never pauses', async () => {
    let written = 0
    const each = setUp('one\n', {
      onRead({ append, now }) {
        if (now() - written < 100) return
        written = now()
        append('more\n')
      },
    })
    await each.run(() => true)
    expect(each.now()).toBeGreaterThan(5_000)
    expect(each.now()).toBeLessThan(6_000)
  })

  it('ends a line that is longer than the buffer before the stop, and begins no other', async () => {
    const stop = new AbortController()
    const line = `${'x'.repeat(1_000)}\n`
    const each = setUp(line.repeat(3), {
      onRead({ now }) {
        expect(now()).toBe(0)
        stop.abort()
      },
    })
    await each.run(() => true, stop.signal)
    expect(each.taken()).toBe(line)
    expect(each.messages().at(-1)).toBe(KEPT)
  })

  it('takes a line that is over every limit for one', async () => {
    const each = setUp(`${'x'.repeat(10 * MIB)}${'y'.repeat(100)}\nnext\n`)
    await each.run(() => true)
    expect(each.taken().split('\n').slice(1)).toEqual(['next', ''])
  })

  it('does not write into a line of the pipe', async () => {
    const each = setUp('one\n')
    let step = 0
    await each.run((piped) => {
      if (++step === 1) {
        piped.write(Buffer.from('pip'))
        each.append('late\n')
      }
      if (step === 50) piped.write(Buffer.from('ed\n'))
      return step > 50 && each.taken().includes('late')
    })
    expect(each.taken()).toBe('one\npiped\nlate\n')
  })
})
