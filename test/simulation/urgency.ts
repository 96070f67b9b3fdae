// What must not last: a state that is over in time while all is well enough for it.

import { PATIENCE_MS } from '../../src/forward/buffer/batcher.ts'
import { DROPPING_MS, STALLED_MS } from '../../src/forward/delivery/sink.ts'
import { PIPE_BYTES_MAX } from '../../src/forward/input/input.ts'
import type { Measured } from '../../src/forward/telemetry/metrics.ts'
import { type KnownLife, PIPE } from './lives.ts'
import { type Scenario, STOP_MS } from './scenario.ts'
import { isConnected } from './server/facts.ts'
import type { Parts } from './simulate.ts'
import type { World } from './world.ts'

const MIB = 1024 ** 2
/** A row in the spool needs so much beside its lines, and the largest batch has so many bytes. */
const ROW_BYTES = 48 * 1024
/** The pipe is looked at so often. */
const WATCH_MS = 5_000
/** What is due at the next look of the publisher, or of the batcher, happens by then. */
const LOOKS_MS = 1_000
/** Between two of the publisher's looks. */
const LOOK_MS = 100

type Rule = readonly [
  invariant: string,
  limitMs: number,
  lasts: (life: KnownLife, measured: Measured) => boolean,
]

export function createUrgency(
  world: World,
  { config, faults }: Scenario,
  { server, disk, pipe }: Parts,
) {
  const kinds = new Set(faults.map(({ kind }) => kind))
  const failsDisk = [...kinds].some((kind) => kind.startsWith('disk'))
  /** What the spool keeps free for a stop, and what its log may take. */
  const stopBytes = config.bufferBytes + 4 * config.batchBytes + PIPE_BYTES_MAX
  const reserve = Math.min(stopBytes, config.spoolBytes / 2) + MIB

  const hasRoomOnDisk = ({ vitals }: Measured) =>
    !failsDisk && disk.bytes() + vitals.bufferBytes + reserve + ROW_BYTES < config.spoolBytes
  /** Alerts are dropped only for a server that confirms nothing; of priorities that are kept, there may be nothing to drop. */
  const makesRoom = ({ vitals }: Measured) =>
    vitals.waitingMs > DROPPING_MS &&
    (config.whenFull === 'drop' ||
      (config.whenFull !== 'block' && vitals.bufferBytes <= config.bufferBytes))
  const hasRoom = (measured: Measured) =>
    measured.vitals.bufferBytes + config.batchBytes <= config.bufferBytes ||
    makesRoom(measured) ||
    hasRoomOnDisk(measured)

  const rules: Rule[] = [
    ['a second signal ends it', LOOKS_MS, ({ abandonedAt }) => abandonedAt !== undefined],
    [
      'a stop ends',
      WATCH_MS + config.drainTimeout + STOP_MS,
      (life) => life.stoppedAt === undefined && pipe.isGone(PIPE, life),
    ],
    [
      'reading goes on',
      PATIENCE_MS + LOOK_MS,
      ({ stoppedAt }, measured) =>
        stoppedAt === undefined && measured.counters.pausedSince !== undefined && hasRoom(measured),
    ],
    [
      'stored when the server stalls',
      LOOKS_MS,
      (_, measured) =>
        measured.vitals.waitingMs > STALLED_MS &&
        measured.vitals.bufferAlerts + measured.batcherAlerts > 0 &&
        hasRoomOnDisk(measured),
    ],
    [
      'it knows whether it is connected',
      LOOKS_MS,
      (life, { vitals }) => vitals.connected !== isConnected(server.facts, life),
    ],
  ]
  /** Of the life that lasts, by rule. */
  let since: (number | undefined)[] = []

  return {
    lifeStarted(): void {
      since = []
    },
    step(life: KnownLife, measured: Measured): void {
      // A disk that blocks the process lets time pass in which nothing can happen.
      if (kinds.has('diskSlow')) return
      const now = world.time.now()
      for (const [index, [invariant, limitMs, lasts]] of rules.entries())
        if (!lasts(life, measured)) {
          since[index] = undefined
        } else {
          since[index] ??= now
          if (now - since[index] > limitMs) world.violated(invariant, `not after ${limitMs} ms`)
        }
    },
  }
}
