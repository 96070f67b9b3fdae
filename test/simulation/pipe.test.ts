// Named pipes as lives see them: set aside, killed at any step, in the way.

import { closeSync, constants, openSync, writeSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import type { Inputs } from '../../src/forward/input/input.ts'
import { systemInputs } from '../../src/forward/input/system-inputs.ts'
import { FatalError } from '../../src/shared/errors.ts'
import { tempDir } from '../support/temp.ts'
import type { Fifo } from './fifo.ts'
import { createPipe, whereaboutsOf } from './pipe.ts'
import { createRandom } from './random.ts'
import { createVirtualTime, settled } from './virtual-clock.ts'
import type { Life, World } from './world.ts'

const PAGE = 4096
const { O_WRONLY, O_NONBLOCK } = constants

function setUp(obstacle?: string) {
  const time = createVirtualTime()
  const world: World = {
    time,
    random: (topic) => createRandom(1, topic),
    trace() {},
    violated: expect.fail,
  }
  const pipe = createPipe(world, obstacle ? { capacity: PAGE, obstacle } : { capacity: PAGE })
  /** A life that is killed at its step `killAt`. */
  const life = (number: number, killAt = Number.POSITIVE_INFINITY): Life => {
    let steps = 0
    const isAlive = () => steps < killAt
    const step = () => {
      if (++steps === killAt) pipe.closeAllOf(self)
    }
    const self = { number, isAlive, step, clock: time.clockFor(isAlive) }
    return self
  }
  const run = async () => {
    do await settled()
    while (time.next(time.now() + 1_000))
  }
  return { pipe, life, run }
}

describe('inputs', () => {
  /** Both worlds, with what writes `text` into the pipe at `path`. */
  const WORLDS: [string, () => { inputs: Inputs; path: string; put(text: string): () => void }][] =
    [
      [
        'of the system',
        () => {
          const path = tempDir().file('nats')
          const put = (text: string) => {
            const fd = openSync(path, O_WRONLY | O_NONBLOCK)
            writeSync(fd, text)
            return () => closeSync(fd)
          }
          return { inputs: systemInputs, path, put }
        },
      ],
      [
        'simulated',
        () => {
          const { pipe, life } = setUp()
          const put = (text: string) => {
            const there = pipe.at('nats')
            if (there === undefined || there === 'file') throw new Error('ENOENT')
            const end = there.open('write')
            if (!end.hasPartner()) {
              end.close()
              throw new Error('ENXIO')
            }
            there.write(pipe.expect(1, Buffer.from(text)), text.length)
            return end.close
          }
          return { inputs: pipe.inputs(life(1)), path: 'nats', put }
        },
      ],
    ]

  it.each(WORLDS)('%s set a pipe aside, and read it to its end', (_, start) => {
    const { inputs, path, put } = start()
    const buffer = Buffer.alloc(99)
    inputs.makePipe(path)
    expect(() => put('too early')).toThrow(/ENXIO/)
    const pipe = inputs.openPipe(path)
    expect([pipe.obstacle, pipe.whyGone(), pipe.read(buffer)]).toEqual([
      undefined,
      undefined,
      undefined,
    ])
    const endWriter = put('old')
    const rest = pipe.setAside()
    expect(pipe.whyGone()).toBe('was removed or replaced; start again to make it anew')
    expect(() => put('for the next')).toThrow(/ENXIO/)
    pipe.close()
    expect([rest.read(buffer), buffer.toString('latin1', 0, 3)]).toEqual([3, 'old'])
    expect(rest.read(buffer)).toBeUndefined()
    endWriter()
    expect(rest.read(buffer)).toBe(0)
    expect(() => pipe.setAside()).toThrow()
    rest.close()
  })
})

describe('a life', () => {
  const LINE = Buffer.from(`${'x'.repeat(99)}\n`)

  it('reads what flows in chunks, and pauses and resumes', async () => {
    const { pipe, life, run } = setUp()
    const input = pipe.inputs(life(1)).openPipe('nats')
    const fifo = pipe.make('nats')
    expect(input.whyGone()).toBe('was removed or replaced; start again to make it anew')
    const again = pipe.inputs(life(2)).openPipe('nats')
    const buffer = Buffer.alloc(64)
    const lengths: number[] = []
    again.flow(buffer, (length) => lengths.push(length) < 2)
    const fate = pipe.expect(7, LINE)
    fifo.write(fate, LINE.length)
    await run()
    expect(lengths.length).toBe(2)
    again.resume()
    await run()
    while (whereaboutsOf(fate) !== 'read') {
      again.resume()
      await run()
    }
    expect(lengths.reduce((sum, length) => sum + length)).toBe(LINE.length)
    expect([fate.readBy, pipe.readOrder, pipe.bytesRead[2]]).toEqual([[2], [7], LINE.length])
  })

  it.each([
    ['before it reads, with a writer that stays', 5, true, 'unread'],
    ['before it reads, without a writer', 5, false, 'lost'],
    ['when it has read', 6, true, 'read'],
  ])('is killed %s', async (_, killAt, writerStays, whereabouts) => {
    const { pipe, life, run } = setUp()
    // Two steps make the pipe, two open it.
    const killed = life(1, killAt)
    const input = pipe.inputs(killed).openPipe('nats')
    const fifo = pipe.at('nats') as Fifo
    input.flow(Buffer.alloc(PAGE), () => expect.fail())
    const fate = pipe.expect(1, LINE)
    const end = fifo.open('write')
    fifo.write(fate, LINE.length)
    if (!writerStays) end.close()
    await run()
    expect([killed.isAlive(), fifo.readers(), whereaboutsOf(fate)]).toEqual([false, 0, whereabouts])
    expect(input.read(Buffer.alloc(9))).toBeUndefined()
    input.setAside()
    input.close()
    expect(pipe.at('nats')).toBe(fifo)
  })

  it('that is killed in the middle of a line leaves the rest to the next', async () => {
    const { pipe, life } = setUp()
    const killed = life(1, 7)
    const input = pipe.inputs(killed).openPipe('nats')
    const fifo = pipe.at('nats') as Fifo
    const fate = pipe.expect(1, LINE)
    const end = fifo.open('write')
    fifo.write(fate, LINE.length)
    const buffer = Buffer.alloc(60)
    expect(input.read(buffer)).toBe(60)
    expect(input.read(buffer)).toBeUndefined()
    expect(whereaboutsOf(fate)).toBe('unread')
    expect(pipe.inputs(life(2)).openPipe('nats').read(buffer)).toBe(40)
    expect([whereaboutsOf(fate), fate.readBy]).toEqual(['split', [1, 2]])
    end.close()
  })

  it.each([1, 2, 3, 4, 5, 6])('is killed at step %i of setting aside', (step) => {
    const { pipe, life } = setUp()
    const killed = life(1, 4 + step)
    const input = pipe.inputs(killed).openPipe('nats')
    const before = pipe.at('nats')
    expect(input.setAside().read(Buffer.alloc(9))).toBeUndefined()
    expect(killed.isAlive()).toBe(false)
    expect(pipe.at('nats') === before).toBe(step < 6)
    // The next life finds what was left behind, and sets aside all the same.
    const next = pipe.inputs(life(2)).openPipe('nats')
    next.setAside()
    expect(next.whyGone()).toBeDefined()
    expect(pipe.at('nats.next')).toBeUndefined()
  })

  it('sets nothing aside where that cannot be done', () => {
    const { pipe, life } = setUp('it is mounted by itself')
    const input = pipe.inputs(life(1)).openPipe('nats')
    expect(input.obstacle).toBe('it is mounted by itself')
    expect(() => input.setAside()).toThrow('it is mounted by itself')
    const other = setUp()
    const inTheWay = other.pipe.inputs(other.life(1)).openPipe('nats')
    other.pipe.makeFile('nats.next')
    expect(() => inTheWay.setAside()).toThrow(/File exists/)
    expect(inTheWay.whyGone()).toBeUndefined()
  })

  it('does not start where Falco has made a file', () => {
    const { pipe, life } = setUp()
    pipe.makeFile('nats')
    expect(() => pipe.inputs(life(1)).makePipe('nats')).toThrow(FatalError)
  })
})
