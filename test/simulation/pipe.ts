// Named pipes by their paths, what each life of falco-nats has open, and what became of each line in them.

import type { Input, Inputs, Pipe, Reader } from '../../src/forward/input/input.ts'
import { FatalError } from '../../src/shared/errors.ts'
import { createFifo, type Fate, type Fifo, newFate, type Opened } from './fifo.ts'
import type { Life, World } from './world.ts'

export interface PipeOptions {
  /** Bytes that each pipe holds. */
  readonly capacity: number
  /** Why no pipe can be set aside, if so. */
  readonly obstacle?: string
}

export type SimulatedPipe = ReturnType<typeof createPipe>

export function createPipe(world: World, { capacity, obstacle }: PipeOptions) {
  const random = world.random('pipe')
  const places = new Map<string, Fifo | 'file'>()
  const openedBy = new Map<number, (Opened & { readonly fifo: Fifo })[]>()
  const made: Fifo[] = []
  /** By number. */
  const fates = new Map<number, Fate>()
  /** Numbers, in the order in which the last bytes of their lines were read. */
  const readOrder: number[] = []
  /** By life. */
  const bytesRead: number[] = []

  function make(path: string): Fifo {
    const fifo = createFifo(capacity)
    made.push(fifo)
    places.set(path, fifo)
    return fifo
  }

  function makeIfMissing(path: string): Fifo {
    const there = places.get(path)
    if (there !== 'file') return there ?? make(path)
    throw new FatalError(`${path} is a regular file; falco-nats never removes what it did not make`)
  }

  function openBy(life: Life, fifo: Fifo, access: 'read' | 'both'): Opened {
    const opened = { ...fifo.open(access, life.number), fifo }
    const all = openedBy.get(life.number)
    if (all) all.push(opened)
    else openedBy.set(life.number, [opened])
    return opened
  }

  /** What a life does, before or after which it may be killed: then `otherwise`. */
  function stepOf<T>(life: Life, act: () => T, otherwise: T): T {
    if (life.isAlive()) life.step()
    if (!life.isAlive()) return otherwise
    const result = act()
    life.step()
    return life.isAlive() ? result : otherwise
  }

  /** From the arrival of bytes to the event loop's call. */
  const wakeUpMs = () => random.part() * (random.onceIn(8) ? 20 : 0.2)

  /** `opened` is undefined where the life was killed meanwhile: then nothing that it does has any effect. */
  function inputOf(life: Life, fifo: Fifo, opened: Opened | undefined): Input {
    let flow: { buffer: Buffer; onRead(length: number): boolean; end(): void } | undefined
    let listening: Disposable | undefined
    let [isPaused, isWoken] = [false, false]

    function wake(): void {
      if (!flow || isPaused || isWoken || !fifo.isReadable()) return
      isWoken = true
      life.clock.after(wakeUpMs(), deliver)
    }

    function deliver(): void {
      isWoken = false
      if (!flow || isPaused) return
      const { buffer, onRead, end } = flow
      const most = random.onceIn(4) ? random.between(1, buffer.length) : buffer.length
      const length = take(buffer, most)
      if (length && !onRead(length)) isPaused = true
      if (length === 0) end()
      else wake()
    }

    function take(buffer: Buffer, most: number): number | undefined {
      return stepOf(
        life,
        () => {
          if (!opened?.isOpen()) throw new Error('EBADF: bad file descriptor, read')
          const ended = ({ number }: Fate) => {
            readOrder.push(number)
            world.trace(() => `falco-nats ${life.number} has read alert ${number}`)
          }
          const length = fifo.read(buffer, most, life.number, ended)
          if (length) bytesRead[life.number] = (bytesRead[life.number] ?? 0) + length
          return length
        },
        undefined,
      )
    }

    return {
      read: (buffer) => take(buffer, buffer.length),
      flow: (buffer, onRead) =>
        new Promise((resolve) => {
          flow = { buffer, onRead, end: resolve }
          listening = fifo.listen(wake)
          wake()
        }),
      pause() {
        isPaused = true
      },
      resume() {
        isPaused = false
        wake()
      },
      close() {
        if (!opened?.isOpen()) return Promise.resolve()
        listening?.[Symbol.dispose]()
        flow = undefined
        stepOf(life, opened.close, undefined)
        return life.clock.afterPoll()
      },
    }
  }

  function setAside(life: Life, path: string, fifo: Fifo): Input {
    const next = `${path}.next`
    if (obstacle !== undefined) throw new Error(obstacle)
    if (places.get(path) !== fifo) throw new Error('something else is at its path')
    const leftover = places.get(next)
    if (leftover === 'file' || (leftover && leftover.readers() > 0))
      throw new Error(`mkfifo: cannot create fifo '${next}': File exists`)
    stepOf(life, () => make(next), undefined)
    const reader = stepOf(life, () => openBy(life, fifo, 'read'), undefined)
    stepOf(life, () => rename(next, path), undefined)
    world.trace(() => `falco-nats ${life.number} sets the pipe aside`)
    return inputOf(life, fifo, reader)
  }

  function readerOf(life: Life, fifo: Fifo): Reader {
    const reader = stepOf(life, () => openBy(life, fifo, 'read'), undefined)
    const input = inputOf(life, fifo, reader)
    return {
      ...input,
      leave(buffer, onRead) {
        const length = input.read(buffer)
        if (length) onRead(length)
        else if (length === 0) input.close()
        return length === 0
      },
    }
  }

  function rename(from: string, to: string): void {
    const there = places.get(from)
    places.delete(from)
    if (there) places.set(to, there)
  }

  function openPipe(life: Life, path: string): Pipe {
    const fifo = stepOf(life, () => makeIfMissing(path), undefined) ?? createFifo(capacity)
    const opened = stepOf(life, () => openBy(life, fifo, 'both'), undefined)
    return {
      ...inputOf(life, fifo, opened),
      obstacle,
      whyGone: () =>
        places.get(path) === fifo
          ? undefined
          : 'was removed or replaced; start again to make it anew',
      setAside: () => setAside(life, path, fifo),
      reader: () => readerOf(life, fifo),
    }
  }

  return {
    /** Whether a pipe that the life has opened is no longer at `path`. */
    isGone(path: string, life: Life): boolean {
      const all = openedBy.get(life.number) ?? []
      return all.some(({ fifo }) => fifo !== places.get(path))
    },
    isOpenBy: (life: Life): boolean =>
      (openedBy.get(life.number) ?? []).some((opened) => opened.isOpen()),
    fates,
    readOrder,
    bytesRead,
    /**
     * The lines that no process will read, lost with a pipe, or in one that is not at `path` and has no reader. `life`: only
     * those of which it was the last reader.
     */
    stranded(path: string, life?: Life): Set<Fate> {
      const there = places.get(path)
      const lines = made.flatMap((fifo) =>
        fifo
          .unread()
          .filter(({ fate }) => fate.lost > 0 || (fifo !== there && fifo.readers() === 0)),
      )
      const ofLife = lines.filter(({ lastReader }) => !life || lastReader === life.number)
      return new Set(ofLife.map(({ fate }) => fate))
    },
    /** A pipe, a regular file, or nothing. */
    at: (path: string) => places.get(path),
    make,
    makeFile: (path: string) => void places.set(path, 'file'),
    remove: (path: string) => void places.delete(path),
    rename,
    /** A line that is to be written. */
    expect(number: number, line: Buffer): Fate {
      const fate = newFate(number, line)
      fates.set(number, fate)
      return fate
    },
    inputs: (life: Life): Inputs => ({
      makePipe: (path) => void stepOf(life, () => makeIfMissing(path), undefined),
      adopt: () => undefined,
      leftAdopted: () => undefined,
      openPipe: (path) => openPipe(life, path),
      openStdin() {
        throw new Error('standard input is not simulated')
      },
    }),
    /** To be called at the end of each life, killed or not: the kernel closes what it has open. */
    closeAllOf(life: Life): void {
      for (const opened of openedBy.get(life.number) ?? []) opened.close()
      openedBy.delete(life.number)
    },
  }
}

export type Whereabouts =
  /** Not yet in a pipe with its last byte; for ever where its writer gave up. */
  | 'unwritten'
  /** Whole, and at least its end is in a pipe. */
  | 'unread'
  /** Read whole, by one life. */
  | 'read'
  /** Read whole, by two lives or more: the first was killed in the middle of it. */
  | 'split'
  /** Bytes of it are gone with a pipe that no process had open. */
  | 'lost'

export function whereaboutsOf({ line, written, read, readBy, lost }: Fate): Whereabouts {
  if (lost > 0) return 'lost'
  if (written < line.length) return 'unwritten'
  if (read < line.length) return 'unread'
  return readBy.length === 1 ? 'read' : 'split'
}
