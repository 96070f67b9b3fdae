// A script of faults, drawn from a seed. Its outcome does not depend on time: each step waits for what it brings about.

import type { AlertSpec } from '../alerts.ts'
import { createRandom, type Random } from '../random.ts'
import type { ScenarioConfig } from '../scenario.ts'
import { DENIED, DUPLICATE_WINDOW_MS, MAX_PAYLOAD } from './ground.ts'
import type { Step } from './step.ts'
import { STEPS, type StepName } from './steps.ts'

export interface Script {
  readonly seed: number
  readonly config: ScriptConfig
  readonly steps: readonly Step<StepName>[]
}

export type ScriptConfig = ReturnType<typeof drawConfig>

/** The options of falco-nats, and what else the simulator wants to know. */
export const configOf = ({
  spool,
  denies,
  ...config
}: ScriptConfig): Omit<ScenarioConfig, keyof ScriptConfig> & ScriptConfig => ({
  ...config,
  ...{ spool, denies },
  bufferBytes: 1024 * 1024,
  maxLineBytes: 4096,
  spoolBytes: spool ? 8 * 1024 * 1024 : 0,
  whenFull: 'block',
  drainTimeout: 1_000,
  servers: 1,
  maxPayload: MAX_PAYLOAD,
  denied: denies ? DENIED : '',
  duplicateWindowMs: DUPLICATE_WINDOW_MS,
  keepAlive: false,
  atBrokenPipe: 'opens again',
  inPieces: false,
  queueMax: 1000,
  pipeBytes: 65_536,
  canBeSetAside: true,
  dropInternal: false,
})

export function scriptOf(seed: number): Script {
  const config = drawConfig(createRandom(seed, 'config'))
  const random = createRandom(seed, 'steps')
  const names = (Object.keys(STEPS) as StepName[]).filter((name) => STEPS[name].fits(config))
  const bag = names.flatMap((name) => Array<StepName>(STEPS[name].weight).fill(name))
  let alerts = 0
  const steps = Array.from({ length: random.between(3, 10) }, (): Step<StepName> => {
    const kind = random.pick(bag)
    const draw = STEPS[kind].mixed && random.onceIn(2) ? mixedAlert : plainAlert
    return {
      kind,
      alerts: Array.from({ length: random.between(1, 5) }, () => draw(random, config, ++alerts)),
      parts: [random.part(), random.part()],
    }
  })
  return { seed, config, steps }
}

function drawConfig(random: Random) {
  const jetstream = random.onceIn(2)
  const streamExists = !jetstream || random.below(3) > 0
  return {
    jetstream,
    /** falco-nats makes the stream where it is missing. */
    createStream: !streamExists || (jetstream && random.onceIn(4)),
    streamExists,
    expectStream: jetstream && random.onceIn(3),
    maxMsgSize: jetstream && streamExists && random.onceIn(3) ? 600 : 0,
    maxInFlight: random.pick([1, 2, 3, 64]),
    spool: random.onceIn(2),
    headers: random.onceIn(3),
    minPriority: random.onceIn(4) ? 5 : 7,
    batchBytes: random.pick([4096, 16_384, 262_144]),
    denies: random.onceIn(4),
    /** Has a server of its own, with faults of the server itself. */
    ownServer: random.onceIn(5),
  }
}

/** No alert of these is denied. */
const SEVERE = 4

const alert = (random: Random, number: number, more: Partial<AlertSpec>): AlertSpec => ({
  ...{ number, at: number, rule: random.between(1, 4), severity: random.below(SEVERE) },
  length: random.between(150, 320),
  ...more,
})

/** One that every server takes. All of a step fit into one read, and so into one batch. */
const plainAlert = (random: Random, _: ScriptConfig, number: number) => alert(random, number, {})

/** Any: filtered, denied, and around each limit of size. */
function mixedAlert(random: Random, { maxMsgSize }: ScriptConfig, number: number): AlertSpec {
  const severity = random.below(8)
  const limit = random.pick([maxMsgSize, maxMsgSize, MAX_PAYLOAD])
  const length = random.onceIn(2) && limit > 0 ? limit - random.below(120) : undefined
  return alert(random, number, { severity, ...(length && { length }) })
}
