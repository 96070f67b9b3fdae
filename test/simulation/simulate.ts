// One run: a world from a scenario, moved on from event to event, and looked at after each.

import { held, total } from '../../src/forward/accounting/counters.ts'
import { parseServers } from '../../src/shared/nats/servers.ts'
import { type AlertSpec, lineOf, passes, subjectOf } from './alerts.ts'
import { createDisk } from './disk.ts'
import { createFalco } from './falco.ts'
import { FAULTS } from './faults.ts'
import { createInvariants } from './invariants.ts'
import { createLives, type KnownLife, PIPE } from './lives.ts'
import { createPipe } from './pipe.ts'
import { createRandom } from './random.ts'
import { type Scenario, STOP_MS, WELL_MS } from './scenario.ts'
import { createServer } from './server/server.ts'
import { createVirtualTime, settled } from './virtual-clock.ts'
import type { World } from './world.ts'

export interface Violation {
  readonly invariant: string
  readonly detail: string
  readonly at: number
}

export interface Result {
  readonly violation: Violation | undefined
  readonly trace: readonly string[]
  readonly facts: Readonly<Record<string, number>>
}

export type Parts = Pick<
  ReturnType<typeof createParts>,
  'server' | 'disk' | 'pipe' | 'falco' | 'lives'
>

/** More events than any scenario needs: the run goes round in circles. */
const STEPS_MAX = 200_000

/** Runs the scenario to its end, or to the first thing that does not hold. */
export async function simulate(scenario: Scenario, options = { trace: false }): Promise<Result> {
  const time = createVirtualTime()
  const trace: string[] = []
  const facts: Record<string, number> = {}
  let violation: Violation | undefined
  const world: World = {
    time,
    random: (topic) => createRandom(scenario.seed, topic),
    trace(text) {
      if (options.trace) trace.push(`${time.now().toFixed(0).padStart(7)} ms  ${text()}`)
    },
    violated(invariant, detail) {
      violation ??= { invariant, detail, at: time.now() }
    },
  }
  const count = (fact: string) => {
    facts[fact] = (facts[fact] ?? 0) + 1
  }
  const parts = createParts(world, scenario, count)
  const { lives, invariants } = parts
  let steps = 0

  /** Moves on until it is so. False: it is not so by `until`. */
  async function runUntil(isSo: () => boolean, until = Number.POSITIVE_INFINITY): Promise<boolean> {
    for (;;) {
      await settled()
      invariants.step()
      if (violation || isSo()) return true
      if (++steps > STEPS_MAX) world.violated('an end', `${STEPS_MAX} events`)
      else if (!time.next(until)) return false
    }
  }

  async function deliverAndStop(): Promise<void> {
    if (!(await runUntil(invariants.isDelivered, time.now() + WELL_MS)))
      world.violated('nobody waits for ever', invariants.waiting())
    lives.signal(Number.POSITIVE_INFINITY)
    const isOver = () => lives.current() === undefined
    if (!(await runUntil(isOver, time.now() + scenario.config.drainTimeout + STOP_MS)))
      world.violated('a stop ends', invariants.waiting())
  }

  for (const { at, kind, parameters } of scenario.faults)
    time.at(at, () => {
      world.trace(() => `fault: ${kind} ${JSON.stringify(parameters)}`)
      count(kind)
      FAULTS[kind]!.strike(parts, parameters)
    })
  // Behind whatever else the process still has to do.
  await undefined
  lives.start()
  const lastAt = Math.max(0, ...[...scenario.alerts, ...scenario.faults].map(({ at }) => at))
  await runUntil(() => false, lastAt + scenario.calmMs)
  world.trace(() => 'from now on all is well')
  parts.heal()
  await deliverAndStop()
  if (!violation && invariants.isLeftOnDisk()) {
    // The last life could not open it when it began.
    lives.start()
    await deliverAndStop()
  }
  invariants.end()
  if (parts.disk.rowsWritten() > 0) count('rows written')
  lives.release()
  time.release()
  await settled()
  return { violation, trace, facts }
}

/** What the coverage shows beside the faults: whether seeds get into the corners of our own code. */
function countWhatHappened({ measure }: KnownLife, count: (fact: string) => void): void {
  if (!measure) return
  const { counters } = measure()
  const { resent, duplicates, restored, dropped, unreadable, rejected, spoolErrors } = counters
  const happened = {
    resent,
    duplicates,
    restored,
    dropped: total(dropped),
    unreadable,
    spooled: counters.spooled,
    spoolErrors,
    paused: counters.pausedMs,
    sessions: Math.max(0, counters.sessions - 1),
    left: held(counters) - counters.spooled,
    ...rejected,
  }
  for (const [what, number] of Object.entries(happened)) if (number > 0) count(`counted: ${what}`)
}

function createParts(world: World, scenario: Scenario, count: (fact: string) => void) {
  const { config, alerts } = scenario
  const isWanted = (alert: AlertSpec, line: string) =>
    passes(alert, config) && line.length <= config.maxLineBytes
  const subjects = new Map<string, string>()
  for (const alert of alerts)
    if (isWanted(alert, lineOf(alert))) subjects.set(lineOf(alert), subjectOf(alert))
  // Two writers mix the parts of lines that take several writes.
  const canBeMixed = scenario.faults.some(({ kind }) => kind === 'second writer')
  const server = createServer(world, {
    mode: config.jetstream ? 'jetstream' : 'core',
    servers: config.servers,
    maxPayload: config.maxPayload,
    denied: config.denied === '' ? [] : [config.denied],
    stream: {
      exists: config.streamExists || !config.createStream,
      name: 'FALCO',
      subjects: ['falco.>'],
      discardNew: true,
      duplicateWindowMs: config.duplicateWindowMs,
    },
    isLine: (line, subject) => subjects.get(line) === subject || canBeMixed,
  })
  let isWell = false
  const disk = createDisk(world, { limitBytes: config.spoolBytes })
  const obstacle = config.canBeSetAside ? {} : { obstacle: 'it is mounted by itself' }
  const pipe = createPipe(world, { capacity: config.pipeBytes, ...obstacle })
  const falco = createFalco(world, pipe, alerts, { ...config, path: PIPE })
  const given = server.addresses.slice(0, scenario.serversGiven)
  const servers = parseServers(given.join(','))
  const lives = createLives(world, config, servers, {
    environmentOf: (life) => ({
      dial: server.dial(life),
      makeStream: server.makeStream(life),
      openSpool: disk.openSpool(life),
      inputs: pipe.inputs(life),
    }),
    started() {
      // It knows no others yet.
      if (isWell) server.cluster.heal()
      invariants.lifeStarted()
    },
    dies(life, end) {
      if (end !== 'power cut') return
      server.cutPower(life)
      falco.die(1_000)
    },
    ended(life, end) {
      count(`life: ${end}`)
      countWhatHappened(life, count)
      if (end === 'power cut') disk.powerCut()
      else disk.crash()
      invariants.lifeEnded(life, () => pipe.closeAllOf(life))
    },
  })
  const parts = { server, disk, pipe, falco, lives }
  const invariants = createInvariants(world, scenario, parts)
  disk.onDrop(invariants.left)
  return {
    ...parts,
    invariants,
    heal(): void {
      isWell = true
      server.heal()
      const sessions = lives.current()?.measure?.().counters.sessions ?? 0
      if (given.length < config.servers && sessions > 0) server.cluster.retire(given)
      disk.heal()
      falco.heal()
      lives.heal()
    },
  }
}
