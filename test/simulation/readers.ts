// Lives that only read, through the very source that reads in production, from a simulated Falco.

import type { ChunkSink } from '../../src/forward/input/read-rest.ts'
import { openSource } from '../../src/forward/input/source.ts'
import { aborted } from '../../src/shared/process/shutdown.ts'
import type { AlertSpec } from './alerts.ts'
import { createFalco, type Falco, type FalcoOptions } from './falco.ts'
import { FALCO_FAULTS } from './falco-faults.ts'
import type { Fault } from './fault.ts'
import { createPipe, type SimulatedPipe } from './pipe.ts'
import { createRandom } from './random.ts'
import { createVirtualTime, settled } from './virtual-clock.ts'
import type { Life, World } from './world.ts'

const READ_BYTES = 1024
const WARNINGS = { notAside() {}, writerStays() {} }
export const ALERTS: AlertSpec[] = Array.from({ length: 40 }, (_, index) => ({
  number: index + 1,
  at: 100 * index,
  severity: 5,
  rule: 1,
  length: 150 + 11 * index,
}))
const OPTIONS: FalcoOptions = {
  path: '/run/nats',
  keepAlive: false,
  atBrokenPipe: 'falls silent',
  inPieces: false,
  queueMax: 1_000,
}

export type End = 'stop' | 'kill'

interface Script {
  readonly seed?: number
  readonly ends?: readonly { at: number; how: End }[]
  readonly faults?: readonly Fault[]
  readonly healAt?: number
}

/** Everything that the lives of one run have read. */
export interface Run {
  readonly falco: Falco
  readonly pipe: SimulatedPipe
  readonly texts: string[]
  /** How each life ended. */
  readonly ends: string[]
  readonly ms: number
}

/**
 * Each life begins 300 ms after the end of the one before, and is stopped or killed at the times of `ends`. Falco is well
 * from `healAt` on, and the run ends 10 s later at the earliest.
 */
export async function run(options: Partial<FalcoOptions>, script: Script = {}): Promise<Run> {
  const { seed = 1, ends: planned = [], faults = [], healAt = 10_000 } = script
  const time = createVirtualTime()
  const world: World = {
    time,
    random: (topic) => createRandom(seed, topic),
    trace() {},
    violated(invariant) {
      throw new Error(invariant)
    },
  }
  const pipe = createPipe(world, { capacity: 4096 })
  const falco = createFalco(world, pipe, ALERTS, { ...OPTIONS, ...options })
  const texts: string[] = []
  const ends: string[] = []
  let end: ((how: End) => void) | undefined

  function start(): void {
    const number = texts.length
    let isAlive = true
    const stop = new AbortController()
    const over = (how: string) => {
      if (!isAlive) return
      isAlive = false
      end = undefined
      ends[number] = how
      pipe.closeAllOf(life)
      time.at(time.now() + 300, start)
    }
    const life: Life = {
      number,
      isAlive: () => isAlive,
      clock: time.clockFor(() => isAlive),
      step() {},
    }
    texts[number] = ''
    end = (how) => (how === 'stop' ? stop.abort() : over('killed'))
    const sink: ChunkSink = {
      write(chunk) {
        texts[number] += chunk.toString('latin1')
        return texts[number]!.length % 5 > 0
      },
      lines: () => texts[number]!.split('\n').length - 1,
      isMidLine: () => !texts[number]!.endsWith('\n') && texts[number] !== '',
      room: (stop) => Promise.race([life.clock.delay(30), aborted(stop)]),
      end() {},
    }
    const system = { inputs: pipe.inputs(life), clock: life.clock }
    const { signal } = new AbortController()
    Promise.resolve()
      .then(() =>
        openSource(falco.path, READ_BYTES, system, WARNINGS).pump(sink, stop.signal, signal),
      )
      .then(() => over('stopped'))
      .catch((error) => over(error.message))
  }

  start()
  for (const { at, how } of planned) time.at(at, () => end?.(how))
  for (const { at, kind, parameters } of faults)
    time.at(at, () => FALCO_FAULTS[kind]!.strike(falco, parameters))
  time.at(healAt, falco.heal)
  do await settled()
  while (time.next(60_000) && !(falco.done() && time.now() > 20_000))
  end?.('kill')
  return { falco, pipe, texts, ends, ms: time.now() }
}
