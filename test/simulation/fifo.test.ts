// The simulated pipe does what the kernel's does: each row runs on both.

import { closeSync, constants, openSync, readSync, writeSync } from 'node:fs'
import { open } from 'node:fs/promises'
import { expect, it } from 'vitest'
import { ensureFifo } from '../../src/forward/input/fifo.ts'
import { tempDir } from '../support/temp.ts'
import { createFifo, newFate, type Opened } from './fifo.ts'

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
