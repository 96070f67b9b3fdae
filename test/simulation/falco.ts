// Falco: raises the alerts of a scenario into a bounded queue, from which one thread writes them into the pipe.

import { type AlertSpec, lineOf } from './alerts.ts'
import type { Fate } from './fifo.ts'
import type { SimulatedPipe } from './pipe.ts'
import type { World } from './world.ts'
import { createWriter, type GivenUp, type WriterOptions } from './writer.ts'

export interface FalcoOptions extends WriterOptions {
  /** Lines that its queue holds; a new alert that finds it full is discarded. */
  readonly queueMax: number
}

/** A service manager starts it again. */
const RESTART_MS = 1_000

export type Falco = ReturnType<typeof createFalco>

export function createFalco(
  world: World,
  pipe: SimulatedPipe,
  alerts: readonly AlertSpec[],
  options: FalcoOptions,
) {
  const { time, trace } = world
  const random = world.random('falco')
  const { path, queueMax } = options
  /** Why alerts, by number, never came whole into a pipe. */
  const gaveUp = new Map<number, GivenUp>()
  /** Lines that are no alerts, from -1 down: what each is. */
  const odd = new Map<number, string>()
  /** Alerts that are not yet written or given up. */
  let pending = alerts.length
  let raised = 0
  let isDown = false
  let secondUntil = 0

  const finished = ({ number }: Fate, how: string) => {
    if (number > 0) pending--
    trace(() => `alert ${number} is ${how}`)
  }
  const handler = {
    written: (fate: Fate) => finished(fate, 'written'),
    gaveUp(fate: Fate, why: GivenUp) {
      gaveUp.set(fate.number, why)
      finished(fate, why)
    },
    died: () => die(RESTART_MS),
  }
  const writer = createWriter(world, 'falco', pipe, options, handler)
  /** Another process with the pipe open: alerts of the same scenario, but through a queue of its own. */
  const second = createWriter(world, 'second falco', pipe, options, {
    ...handler,
    died: () => second.end(),
  })

  /** Alerts come in the order of their times; a burst raises some early. */
  function raiseUntil(when: number): void {
    while (raised < alerts.length && alerts[raised]!.at <= when) raise(alerts[raised++]!)
  }

  function raise(spec: AlertSpec): void {
    const fate = pipe.expect(spec.number, Buffer.from(`${lineOf(spec)}\n`, 'latin1'))
    if (time.now() < secondUntil && random.onceIn(2)) second.put(fate)
    else if (isDown || writer.queued() >= queueMax) handler.gaveUp(fate, 'discarded')
    else writer.put(fate)
  }

  function die(restartMs: number): void {
    if (isDown) return
    isDown = true
    writer.end()
    time.at(time.now() + restartMs, () => {
      isDown = false
    })
  }

  /** Somebody makes the pipe again, where Falco writes into a file or would make one. */
  function mend(): void {
    const there = pipe.at(path)
    if (there === undefined || there === 'file') pipe.make(path)
  }

  for (const { at } of alerts) time.at(at, () => raiseUntil(time.now()))

  return {
    pipe,
    path,
    gaveUp,
    odd,
    /** Whether each alert is written or given up: no more will come. */
    done: () => pending === 0,
    /** Raises at once what it would raise in the next `ms`. */
    burst: (ms: number) => raiseUntil(time.now() + ms),
    die,
    /** Takes the pipe from its path; somebody makes one again if falco-nats has not. */
    losePipe(isRenamed: boolean, mendMs: number): void {
      if (isRenamed) pipe.rename(path, `${path}.old`)
      else pipe.remove(path)
      time.at(time.now() + mendMs, mend)
    },
    /** When `bytes` of its next line are written, it dies, or gets no CPU for a while. */
    dieWithin: (bytes: number, restartMs: number) => writer.tripAt(bytes, () => die(restartMs)),
    stallWithin: (bytes: number, ms: number) => writer.tripAt(bytes, () => writer.stall(ms)),
    /** Other rules: after its output timeout Falco throws away what is in its queue, and opens the pipe anew. */
    reload: (timeoutMs: number) => time.at(time.now() + timeoutMs, writer.reload),
    openSlowly: writer.openSlowly,
    /** For so long every other alert comes through a second writer. */
    addWriter(ms: number): void {
      secondUntil = time.now() + ms
    },
    /** A line, or a part of one, that is no alert. */
    writeOdd(what: string, line: Buffer): void {
      if (isDown) return
      const number = -1 - odd.size
      odd.set(number, what)
      writer.put(pipe.expect(number, line))
    },
    /** From now on nothing goes wrong by itself. */
    heal(): void {
      secondUntil = 0
      isDown = false
      pipe.remove(`${path}.next`)
      mend()
      writer.heal()
      second.heal()
    },
  }
}
