// The simulated pipe does what the kernel's does: each row runs on both.

import { closeSync, constants, openSync, readSync, writeSync } from 'node:fs'
import { open } from 'node:fs/promises'
import { describe, expect, it } from 'vitest'
import { ensureFifo } from '../../src/forward/input/fifo.ts'
import type { Inputs } from '../../src/forward/input/input.ts'
import { systemInputs } from '../../src/forward/input/system-inputs.ts'
import { FatalError } from '../../src/shared/errors.ts'
import { tempDir } from '../support/temp.ts'
import { createFifo, type Fifo, newFate, type Opened } from './fifo.ts'
import { createPipe, whereaboutsOf } from './pipe.ts'
import { createRandom } from './random.ts'
import { createVirtualTime, settled } from './virtual-clock.ts'
import type { Life, World } from './world.ts'

/** What a pipe of the kernel holds unless it is told otherwise. */
const CAPACITY = 64 * 1024
const PAGE = 4096
const { O_RDWR, O_RDONLY, O_WRONLY, O_NONBLOCK } = constants
const FLAGS = { both: O_RDWR, read: O_RDONLY, write: O_WRONLY }

type Access = keyof typeof FLAGS
/** A name for what is opened, and what is done with it. */
type Step = [name: string, act: Access | 'close' | `${'get' | 'put'} ${number}`]

const codeOf = (error: unknown) => (error as NodeJS.ErrnoException).code!

/** What the system says to each step but open and close, and to an open that fails. */
function onSystem(steps: readonly Step[]): (number | string)[] {
  using dir = tempDir()
  ensureFifo(dir.file('nats'))
  const fds = new Map<string, number>()
  const said: (number | string)[] = []
  for (const [name, act] of steps) {
    const [verb, bytes] = act.split(' ')
    try {
      if (act in FLAGS) fds.set(name, openSync(dir.file('nats'), FLAGS[act as Access] | O_NONBLOCK))
      else if (verb === 'get') said.push(readSync(fds.get(name)!, Buffer.alloc(Number(bytes))))
      else if (verb === 'put') said.push(writeSync(fds.get(name)!, Buffer.alloc(Number(bytes))))
      else {
        closeSync(fds.get(name)!)
        fds.delete(name)
      }
    } catch (error) {
      said.push(codeOf(error))
    }
  }
  for (const fd of fds.values()) closeSync(fd)
  return said
}

function simulated(steps: readonly Step[]): (number | string)[] {
  const fifo = createFifo(CAPACITY)
  const ends = new Map<string, Opened>()
  const said: (number | string)[] = []
  for (const [name, act] of steps) {
    const [verb, bytes] = act.split(' ')
    if (act in FLAGS) {
      const end = fifo.open(act as Access)
      if (act !== 'write' || end.hasPartner()) ends.set(name, end)
      else {
        end.close()
        said.push('ENXIO')
      }
    } else if (verb === 'get') {
      said.push(fifo.read(Buffer.alloc(Number(bytes)), Number(bytes), 1, () => {}) ?? 'EAGAIN')
    } else if (verb === 'put') {
      const written = fifo.write(newFate(1, Buffer.alloc(Number(bytes))), Number(bytes))
      said.push(written === undefined ? 'EPIPE' : written || 'EAGAIN')
    } else ends.get(name)!.close()
  }
  return said
}

const FULL: Step[] = Array.from({ length: CAPACITY / PAGE - 1 }, () => ['us', `put ${PAGE}`])
const filled = FULL.map(() => PAGE)

const ROWS: [what: string, steps: Step[], said: (number | string)[]][] = [
  ['no reader', [['falco', 'write']], ['ENXIO']],
  [
    'a reader without a writer: the end',
    [
      ['us', 'read'],
      ['us', 'get 9'],
    ],
    [0],
  ],
  [
    'both ends in one: never the end',
    [
      ['us', 'both'],
      ['us', 'get 9'],
      ['falco', 'write'],
      ['falco', 'put 5'],
      ['falco', 'close'],
      ['us', 'get 9'],
      ['us', 'get 9'],
    ],
    ['EAGAIN', 5, 5, 'EAGAIN'],
  ],
  [
    'the last one closes: the bytes are gone',
    [
      ['us', 'both'],
      ['falco', 'write'],
      ['falco', 'put 5'],
      ['falco', 'close'],
      ['us', 'close'],
      ['next', 'both'],
      ['next', 'get 9'],
    ],
    [5, 'EAGAIN'],
  ],
  [
    'a writer stays: the next reader gets the bytes',
    [
      ['us', 'both'],
      ['falco', 'write'],
      ['falco', 'put 5'],
      ['us', 'close'],
      ['next', 'both'],
      ['next', 'get 9'],
    ],
    [5, 5],
  ],
  [
    'a writer stays, without a reader: EPIPE, and the bytes before it are kept',
    [
      ['us', 'both'],
      ['falco', 'write'],
      ['falco', 'put 5'],
      ['us', 'close'],
      ['falco', 'put 5'],
      ['next', 'both'],
      ['falco', 'put 3'],
      ['next', 'get 99'],
    ],
    [5, 'EPIPE', 3, 8],
  ],
  [
    'set aside: a second reader, the first closes both ends, the writer goes on and ends',
    [
      ['us', 'both'],
      ['falco', 'write'],
      ['falco', 'put 5'],
      ['rest', 'read'],
      ['us', 'close'],
      ['falco', 'put 4'],
      ['rest', 'get 99'],
      ['rest', 'get 99'],
      ['falco', 'close'],
      ['rest', 'get 99'],
    ],
    [5, 4, 9, 'EAGAIN', 0],
  ],
  [
    'full: a write up to a page waits for room for all of it',
    [
      ['us', 'both'],
      ...FULL,
      ['us', 'put 100'],
      ['us', `put ${PAGE}`],
      ['us', `get ${PAGE}`],
      ['us', `put ${PAGE}`],
    ],
    [...filled, 100, 'EAGAIN', PAGE, PAGE],
  ],
  [
    'full: a longer write is cut',
    [['us', 'both'], ...FULL, ['us', `put ${2 * PAGE}`], ['us', `put ${2 * PAGE}`]],
    [...filled, PAGE, 'EAGAIN'],
  ],
]

it.each(ROWS)('%s', (_, steps, said) => {
  expect(onSystem(steps)).toEqual(said)
  expect(simulated(steps)).toEqual(said)
})

it('lets a writer that waits for a reader go on even when that has gone again', async () => {
  using dir = tempDir()
  ensureFifo(dir.file('nats'))
  const opening = open(dir.file('nats'), 'w')
  const isOpen = await Promise.race([
    opening.then(() => true),
    new Promise((r) => setTimeout(r, 50)),
  ])
  expect(isOpen).toBeUndefined()
  closeSync(openSync(dir.file('nats'), O_RDONLY | O_NONBLOCK))
  await using writer = await opening
  await expect(writer.write('x')).rejects.toThrow(/EPIPE/)

  const fifo = createFifo(CAPACITY)
  const end = fifo.open('write')
  expect(end.hasPartner()).toBe(false)
  fifo.open('read').close()
  expect(end.hasPartner()).toBe(true)
  expect(fifo.write(newFate(1, Buffer.from('x')), 1)).toBeUndefined()
})

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
    expect(pipe.whyGone()).toBe('was removed or replaced')
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
    expect(input.whyGone()).toBe('was removed or replaced')
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
