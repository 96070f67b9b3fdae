// The lives of falco-nats in one world: a supervisor starts it, faults stop and kill it, and it starts again on the same
// pipe and disk. Each life is `forward` itself, in an environment of this world.

import { parseCommandLine } from '../../src/forward/command-line.ts'
import * as jetstream from '../../src/forward/delivery/jetstream/jetstream.ts'
import type { Environment } from '../../src/forward/environment.ts'
import { forward } from '../../src/forward/forward.ts'
import type { Config } from '../../src/forward/options.ts'
import type { Measured } from '../../src/forward/telemetry/metrics.ts'
import type { Timer } from '../../src/shared/clock.ts'
import { FatalError, messageOf } from '../../src/shared/errors.ts'
import type { FaultTable } from './fault.ts'
import { createLifeLog, type LogLine } from './life-log.ts'
import type { ScenarioConfig } from './scenario.ts'
import type { Life, World } from './world.ts'

export const PIPE = '/run/falco/nats'

export type End = 'delivered' | 'lost' | 'failed' | 'kill' | 'power cut'

/** A life with what is known of it, while it lasts and after it. */
export interface KnownLife extends Life {
  readonly startedAt: number
  readonly log: readonly LogLine[]
  /** Undefined until it reads. */
  readonly measure: (() => Measured) | undefined
  /** How many intervals it has not ended. */
  intervals(): number
  /** When the first signal came, and the second. */
  readonly stoppedAt: number | undefined
  readonly abandonedAt: number | undefined
  readonly end: End | undefined
}

/** What the parts of the world give to a life, and do at its end. */
export interface Habitat {
  environmentOf(life: Life): Pick<Environment, 'dial' | 'makeStream' | 'openSpool' | 'inputs'>
  started(life: KnownLife): void
  /** Just before nothing that it does has any effect. */
  dies(life: Life, end: End): void
  ended(life: KnownLife, end: End): void
}

const BASE = configOf(['--falco-events', 'off', '--metrics-address', '127.0.0.1:1'])

function configOf(argv: readonly string[]): Config {
  const invocation = parseCommandLine(argv, {})
  if (invocation.run !== 'forward') throw new Error(`${argv} do not forward`)
  return invocation.config
}

export type Lives = ReturnType<typeof createLives>

export function createLives(
  world: World,
  drawn: ScenarioConfig,
  server: Config['server'],
  habitat: Habitat,
) {
  const supervisor = world.time.clockFor()
  const random = world.random('lives')
  const config: Config = {
    ...BASE,
    ...drawn,
    server,
    pipe: PIPE,
    headers: drawn.headers ? 'on' : 'off',
    stream: drawn.expectStream ? 'FALCO' : undefined,
    spoolDir: drawn.spoolBytes > 0 ? '/spool' : undefined,
    duplicateWindow: drawn.createStream ? drawn.duplicateWindowMs : undefined,
  }
  const signals: AbortController[] = []
  let current: ReturnType<typeof begin> | undefined
  let lives = 0
  let restartMs = 100

  function begin() {
    let isAlive = true
    let stepsLeft = Number.POSITIVE_INFINITY
    let deadly: 'kill' | 'power cut' = 'kill'
    const stop = new AbortController()
    const abandon = new AbortController()
    signals.push(stop, abandon)
    const log: LogLine[] = []
    const clock = world.time.clockFor(() => isAlive)
    const intervals = new Set<Timer>()
    const life = {
      number: ++lives,
      isAlive: () => isAlive,
      clock: {
        ...clock,
        every(ms: number, step: () => void): Timer {
          const timer = clock.every(ms, step)
          intervals.add(timer)
          return {
            [Symbol.dispose]() {
              intervals.delete(timer)
              timer[Symbol.dispose]()
            },
          }
        },
      },
      intervals: () => intervals.size,
      step() {
        if (isAlive && --stepsLeft < 0) end(deadly)
      },
      startedAt: world.time.now(),
      log,
      measure: undefined as (() => Measured) | undefined,
      stoppedAt: undefined as number | undefined,
      abandonedAt: undefined as number | undefined,
      end: undefined as End | undefined,
    }

    function end(how: End): void {
      if (!isAlive) return
      habitat.dies(life, how)
      isAlive = false
      life.end = how
      world.trace(() => `falco-nats ${life.number} ends: ${how}`)
      habitat.ended(life, how)
      current = undefined
      supervisor.after(restartMs, start)
    }

    function bug(error: unknown): never {
      if (isAlive) world.violated('no bug', String((error as Error).stack))
      throw error
    }

    const environment: Environment = {
      ...habitat.environmentOf(life),
      clock: life.clock,
      random: random.part,
      whyRefused: () => undefined,
      loadJetStream: async () => jetstream,
      openTelemetry: async () => ({
        address: '',
        serve(measure) {
          life.measure = measure
        },
        async [Symbol.asyncDispose]() {},
      }),
      bug,
      saveAtBug() {},
    }

    return {
      life,
      run() {
        world.trace(() => `falco-nats ${life.number} starts`)
        const lifeLog = createLifeLog((line) => {
          if (!isAlive) return
          log.push(line)
          world.trace(
            () => `falco-nats ${life.number} logs: ${line.message} ${JSON.stringify(line.fields)}`,
          )
        })
        forward(config, environment, lifeLog, stop.signal, abandon.signal).then(
          (code) => end(code === 0 ? 'delivered' : 'lost'),
          (error) => {
            if (!(error instanceof FatalError)) return isAlive && bug(error)
            world.trace(() => `falco-nats ${life.number} fails: ${messageOf(error)}`)
            end('failed')
          },
        )
      },
      /** The first signal, or the second. */
      signal() {
        if (stop.signal.aborted) {
          life.abandonedAt ??= world.time.now()
          abandon.abort()
        } else {
          life.stoppedAt = world.time.now()
          stop.abort()
        }
      },
      kill: () => end('kill'),
      dieIn(steps: number, death: 'kill' | 'power cut') {
        stepsLeft = steps
        deadly = death
      },
    }
  }

  function start(): void {
    current = begin()
    restartMs = 100
    habitat.started(current.life)
    current.run()
  }

  return {
    start,
    /** The life that lasts; undefined between two. */
    current: (): KnownLife | undefined => current?.life,
    signal(nextInMs: number): void {
      restartMs = nextInMs
      world.trace(() => 'a signal comes')
      current?.signal()
    },
    /** The life ends in the middle of what it does, so many steps from now. */
    dieIn(steps: number, death: 'kill' | 'power cut', nextInMs: number): void {
      restartMs = nextInMs
      current?.dieIn(steps, death)
    },
    /** It is killed between two steps, and not started again. */
    kill(): void {
      restartMs = Number.POSITIVE_INFINITY
      current?.kill()
    },
    /** At the end of the world, see `release` of virtual-clock.ts. */
    release(): void {
      for (const signal of signals) signal.abort()
    },
    /** Nothing kills it any more. */
    heal(): void {
      current?.dieIn(Number.POSITIVE_INFINITY, 'kill')
    },
  }
}

const RESTARTS_MS = [0, 100, 2_000]

export const LIFE_FAULTS: FaultTable<Lives> = {
  stop: {
    draw: (random) => ({ nextInMs: random.pick(RESTARTS_MS) }),
    strike: (lives, { nextInMs }) => lives.signal(Number(nextInMs)),
  },
  kill: {
    draw: (random) => ({ steps: random.below(20), nextInMs: random.pick(RESTARTS_MS) }),
    strike: (lives, { steps, nextInMs }) => lives.dieIn(Number(steps), 'kill', Number(nextInMs)),
  },
  killInStop: {
    draw: (random) => ({ steps: random.below(30), nextInMs: random.pick(RESTARTS_MS) }),
    strike(lives, { steps, nextInMs }) {
      lives.dieIn(Number(steps), 'kill', Number(nextInMs))
      lives.signal(Number(nextInMs))
    },
  },
  powerCut: {
    draw: (random) => ({ steps: random.below(20), nextInMs: random.pick(RESTARTS_MS) }),
    strike: (lives, { steps, nextInMs }) =>
      lives.dieIn(Number(steps), 'power cut', Number(nextInMs)),
  },
}
