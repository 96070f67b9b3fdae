// A scenario: all that one run of the simulator is given, drawn from a seed. It is plain data, so that a run can be
// kept, printed, and shrunk to fewer alerts and fewer faults.

import type { WhenFull } from '../../src/forward/buffer/when-full.ts'
import { PRIORITIES } from '../../src/shared/alert/alert.ts'
import type { AlertSpec } from './alerts.ts'
import type { Fault } from './fault.ts'
import { FAULTS, GROUPS, type Group } from './faults.ts'
import { createRandom, type Random } from './random.ts'

export interface Scenario {
  readonly seed: number
  readonly config: ScenarioConfig
  readonly alerts: readonly AlertSpec[]
  readonly faults: readonly Fault[]
  /** So many servers are given to falco-nats, or all: they announce the others, and may in the end be gone for good. */
  readonly serversGiven?: number
  /** How long faults that last go on behind the last alert and the last fault, in ms. */
  readonly calmMs: number
}

export type ScenarioConfig = ReturnType<typeof configOf>

/** How long a stop may take beyond --drain-timeout: writers have 4 s to finish a line. */
export const STOP_MS = 6_000
/** As long as the server has to be well before all that waits must have arrived. */
export const WELL_MS = 180_000

const MIB = 1024 ** 2
const FAULTS_MAX = 8
const LOW_MAX_PAYLOAD = 700
const KINDS_MAX = 4
/** To drop below the most severe, one in the middle, and the least severe that can be kept. */
const POLICIES: readonly WhenFull[] = [
  'block',
  'drop',
  'drop-below-emergency',
  'drop-below-warning',
  'drop-below-informational',
]

export function scenarioOf(seed: number): Scenario {
  const config = configOf(createRandom(seed, 'config'))
  const random = createRandom(seed, 'alerts')
  const lastsMs = random.pick([50, 1_000, 5_000, 20_000])
  const alerts = alertsOf(random, config, lastsMs)
  return {
    seed,
    config,
    alerts,
    faults: faultsOf(createRandom(seed, 'faults'), config, alerts, lastsMs),
    calmMs: random.pick([0, 100, 2_000, 8_000]),
    serversGiven: random.between(1, 3),
  }
}

function configOf(random: Random) {
  const jetstream = random.onceIn(2)
  const spool = random.below(3) > 0
  return {
    jetstream,
    createStream: jetstream && random.onceIn(3),
    /** Names the stream that must take the alerts. */
    expectStream: jetstream && random.onceIn(3),
    headers: random.onceIn(3),
    minPriority: random.onceIn(4) ? 5 : PRIORITIES.length - 1,
    batchBytes: random.pick([1024, 2048, 4096, 8192]),
    bufferBytes: random.pick([2048, 8192, 65_536]),
    maxLineBytes: random.pick([1024, 4096]),
    /** Half of the least has room before its reserve for a stop. */
    spoolBytes: spool ? 2 * MIB + random.pick([72, 96, 160, 1024]) * 1024 : 0,
    whenFull: random.pick(POLICIES),
    drainTimeout: random.pick([0, 200, 2_000, 10_000]),
    maxInFlight: random.pick([1, 2, 5, 64]),
    servers: random.between(1, 3),
    maxPayload: random.onceIn(6) ? LOW_MAX_PAYLOAD : 65_536,
    /** The begin of subjects that the server denies, if any. */
    denied: random.onceIn(6) ? 'falco.warning.' : '',
    duplicateWindowMs: random.pick([2_000, 120_000]),
    streamExists: random.below(4) > 0,
    keepAlive: random.onceIn(2),
    atBrokenPipe: random.pick(['dies', 'falls silent', 'opens again'] as const),
    inPieces: random.onceIn(4),
    queueMax: random.pick([3, 1000]),
    pipeBytes: random.pick([4096, 8192]),
    canBeSetAside: !random.onceIn(6),
    dropInternal: random.onceIn(6),
  }
}

/** What counts for max_payload beside the line. With --headers on it is no more than that. */
export function headerBytes({ headers, jetstream, expectStream }: ScenarioConfig): number {
  if (headers) return 300
  const expected = 'Nats-Expected-Stream: FALCO\r\n'.length
  return jetstream
    ? 'NATS/1.0\r\nNats-Msg-Id: \r\n\r\n'.length + 22 + (expectStream ? expected : 0)
    : 0
}

function alertsOf(random: Random, config: ScenarioConfig, lastsMs: number): AlertSpec[] {
  const longest = LOW_MAX_PAYLOAD - headerBytes(config)
  const count = random.pick([1, 3, 10, 20, 60])
  const rules = random.pick([1, 3, 12])
  const isBurst = random.onceIn(3)
  const times = Array.from({ length: count }, () => (isBurst ? 0 : random.below(lastsMs)))
  const edges = [config.maxLineBytes, config.maxLineBytes + 1, longest, longest + 1]
  const lengths = random.pick([[0], [0, 300], [0, 300, 900], [300, 900], [300, 1200, 5000], edges])
  return times
    .sort((a, b) => a - b)
    .map((at, index) => ({
      number: index + 1,
      at,
      severity: random.below(PRIORITIES.length),
      // 0 is internal.
      rule: random.onceIn(12) ? 0 : random.between(1, rules),
      length: random.pick(lengths),
    }))
}

/**
 * Few kinds at a time, others for each seed: rare orders come about that a mix of all would drown. Most have one after
 * which alerts wait, and one that ends a life meanwhile.
 */
function faultsOf(
  random: Random,
  config: ScenarioConfig,
  alerts: readonly AlertSpec[],
  lastsMs: number,
): Fault[] {
  const names = (groups: readonly Group[]) =>
    Object.keys(FAULTS).filter(
      (name) => groups.includes(FAULTS[name]!.group) && FAULTS[name]!.fits(config),
    )
  const oneOf = (...groups: Group[]) => random.pick(names(groups))
  const kinds = Array.from({ length: random.between(0, KINDS_MAX - 2) }, () => oneOf(...GROUPS))
  if (random.below(3) > 0) kinds.push(oneOf('server', 'jetstream'))
  if (random.onceIn(2)) kinds.push(oneOf('life'))
  if (config.spoolBytes > 0 && random.onceIn(3)) kinds.push(oneOf('disk'))
  const count = kinds.length === 0 ? 0 : random.between(1, FAULTS_MAX)
  return Array.from({ length: count }, () => {
    const kind = random.pick(kinds)
    // While an alert is on its way, or at any time.
    const at = random.onceIn(2) ? random.pick(alerts).at + random.below(30) : random.below(lastsMs)
    return { at, kind, parameters: FAULTS[kind]!.draw(random) }
  }).sort((a, b) => a.at - b.at)
}
