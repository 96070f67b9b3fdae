// What must hold: at each step, at the end of each life, and at the end of the run.

import { type Counters, held, lost } from '../../src/forward/accounting/counters.ts'
import type { AlertSpec } from './alerts.ts'
import type { WhyLeft } from './disk-file.ts'
import { createExplanation } from './explanation.ts'
import type { KnownLife } from './lives.ts'
import { whereaboutsOf } from './pipe.ts'
import type { Scenario } from './scenario.ts'
import type { Parts } from './simulate.ts'
import type { World } from './world.ts'

export type Invariants = ReturnType<typeof createInvariants>

/** Faults after which alerts may overtake others: two writers, and rows that wait until the disk can be read. */
const DISORDERLY = [
  'second writer',
  'diskFails',
  'diskReadsFail',
  'diskReadsGarbage',
  'diskCorrupt',
]
/** What a stop may read beyond the buffer: what the pipe holds, and the rest of a line. */
const STOP_BYTES = 64 * 1024

export function createInvariants(world: World, scenario: Scenario, parts: Parts) {
  const { config, alerts, faults } = scenario
  const { server, disk, pipe, falco, lives } = parts
  const { facts } = server
  const kinds = new Set(faults.map(({ kind }) => kind))
  const isOrderly = !DISORDERLY.some((kind) => kinds.has(kind))
  const explanation = createExplanation(scenario, parts)
  const arrivals = config.jetstream ? facts.stored : facts.arrivals
  const arrived = new Set<number>()
  let arrivalsSeen = 0
  /** Of the life that lasts: what has been on the disk, and what has arrived, each once. */
  let onDisk = new Set<number>()
  let arrivedOfLife: number[] = []
  let droppedSeen: readonly number[] = []

  const numbersOnDisk = () =>
    disk.stored().flatMap(({ numbers, isIntact }) => (isIntact ? numbers : []))

  function lookAtArrivals(): void {
    for (; arrivalsSeen < arrivals.length; arrivalsSeen++) {
      const { number } = arrivals[arrivalsSeen]!
      if (number === undefined) continue
      arrived.add(number)
      const { session } = arrivals[arrivalsSeen]!
      if (facts.sessions[session - 1]!.life === lives.current()?.number) lookAtOrder(number)
    }
  }

  function lookAtOrder(number: number): void {
    if (arrivedOfLife.includes(number)) return
    arrivedOfLife.push(number)
    if (!isOrderly) return
    const overtaken = arrivedOfLife.filter((other) => other > number).length
    if (overtaken > (config.jetstream ? config.maxInFlight - 1 : 0))
      world.violated('order', `alert ${number} arrives behind ${overtaken} later ones`)
  }

  function lookAtBooks(life: KnownLife): void {
    if (life.measure === undefined) return
    const { counters, vitals, batcherAlerts } = life.measure()
    const there = batcherAlerts + vitals.bufferAlerts + counters.spooled
    // A line that a stop cuts off is read, and nowhere.
    const nowhere = held(counters) - there
    if (nowhere !== 0 && !(nowhere === 1 && life.stoppedAt !== undefined))
      world.violated('books', `${held(counters)} held, ${there} in memory and on disk`)
    const largest = Math.max(config.batchBytes, config.maxLineBytes)
    const stopBytes = life.stoppedAt === undefined ? 0 : STOP_BYTES
    if (vitals.bufferBytes > config.bufferBytes + 2 * largest + stopBytes)
      world.violated(
        'bytes in memory',
        `${vitals.bufferBytes} of ${config.bufferBytes}, batches ${config.batchBytes}, lines ${config.maxLineBytes}`,
      )
    if (disk.bytes() > config.spoolBytes) world.violated('bytes on disk', `${disk.bytes()}`)
    if (counters.delivered > facts.confirmed.size)
      world.violated(
        'released before confirmed',
        `${counters.delivered} delivered, ${facts.confirmed.size} confirmed`,
      )
    for (const { unanswered } of facts.sessions)
      if (unanswered.size > config.maxInFlight)
        world.violated('alerts in flight', `${unanswered.size}`)
    lookAtDrops(life, counters, vitals.inFlightAlerts + batcherAlerts)
  }

  /** Less severe alerts are dropped first: others may stay only where they are in flight. */
  function lookAtDrops(life: KnownLife, { dropped }: Counters, kept: number): void {
    const severity = dropped.findIndex((count, index) => count > (droppedSeen[index] ?? 0))
    if (severity < 0) return
    droppedSeen = [...dropped]
    if (config.whenFull === 'block') world.violated('drops', 'alerts are dropped with block')
    const had = new Set([...onDisk, ...explanation.readBy(life)])
    const isHeld = ({ number, severity: other, length }: AlertSpec) =>
      had.has(number) &&
      other > severity &&
      other <= config.minPriority &&
      length <= config.maxLineBytes &&
      !arrived.has(number) &&
      !explanation.mayBeRefused(number)
    const droppedLess = dropped.slice(severity + 1).reduce((sum, count) => sum + count, 0)
    const heldLess = alerts.filter(isHeld).length - droppedLess
    if (heldLess > kept)
      world.violated('drops', `of severity ${severity}, while ${heldLess} less severe are held`)
  }

  function lookAtEnd(life: KnownLife): void {
    const there = new Set(numbersOnDisk())
    for (const number of there) onDisk.add(number)
    const had = new Set([...onDisk, ...explanation.readBy(life)])
    const wasKilled = life.end === 'kill' || life.end === 'power cut'
    const missing = [...had].filter((number) => !arrived.has(number) && !there.has(number))
    const silent = explanation.unexplained(
      life,
      missing.filter((number) => !wasKilled || onDisk.has(number)),
    )
    if (silent.length > 0)
      world.violated(wasKilled ? 'kept on disk' : 'nothing lost in silence', `${silent}`)
    if (wasKilled || life.measure === undefined) return
    const { counters } = life.measure()
    if (counters.rejected.internal_error > 0) world.violated('no bug', 'internal_error')
    const hasFailed = life.log.at(-1)!.message.includes('the pipe ')
    if (life.end !== 'failed' && !hasFailed && (life.end === 'lost') !== lost(counters) > 0)
      world.violated('exit code', `${life.end}, and ${lost(counters)} lost`)
    const left = held(counters) - counters.spooled
    const waitedMs = world.time.now() - (life.stoppedAt ?? Number.NEGATIVE_INFINITY)
    if (left > 0 && waitedMs < config.drainTimeout && life.end !== 'failed')
      world.violated('drain', `${left} left after ${waitedMs} ms`)
  }

  /** At an orderly stop the pipe is set aside and read to its end. */
  function lookAtPipe(life: KnownLife): void {
    const isClean = life.end === 'delivered' || life.end === 'lost'
    if (!lostInPipe.isNew() || !isClean || !config.canBeSetAside) return
    if ([...kinds].some((kind) => kind.includes('pipe'))) return
    world.violated('nothing left in the pipe', lostInPipe.numbers().join(' '))
  }

  const lostInPipe = {
    seen: 0,
    numbers: () =>
      [...pipe.fates.values()]
        .filter((fate) => whereaboutsOf(fate) === 'lost')
        .map(({ number }) => number),
    isNew(): boolean {
      const before = this.seen
      this.seen = this.numbers().length
      return this.seen > before
    },
  }

  return {
    lifeStarted(): void {
      onDisk = new Set(numbersOnDisk())
      arrivedOfLife = []
      droppedSeen = []
    },
    /** Rows have left the disk. */
    left(numbers: readonly number[], why: WhyLeft): void {
      for (const number of numbers) {
        onDisk.add(number)
        if (why !== 'dropped' || config.whenFull === 'drop') continue
        if (!facts.answered.has(number) && !explanation.mayBeRefused(number))
          world.violated('released before confirmed', `the row of alert ${number} is gone`)
      }
    },
    step(): void {
      lookAtArrivals()
      const life = lives.current()
      if (life) lookAtBooks(life)
    },
    lifeEnded(life: KnownLife): void {
      lookAtArrivals()
      lookAtEnd(life)
      lookAtPipe(life)
    },
    /** Whether all that Falco wrote has got where it can get to. */
    isDelivered(): boolean {
      if (!falco.done()) return false
      for (const fate of pipe.fates.values()) if (whereaboutsOf(fate) === 'unread') return false
      const measured = lives.current()?.measure?.()
      return measured !== undefined && held(measured.counters) === 0
    },
    waiting(): string {
      const unread = [...pipe.fates.values()].filter((fate) => whereaboutsOf(fate) === 'unread')
      const counters = lives.current()?.measure?.().counters
      return `${falco.done() ? '' : 'Falco waits, '}${unread.length} lines unread, ${counters && held(counters)} alerts held`
    },
    end(): void {
      const left = numbersOnDisk().filter((number) => !arrived.has(number))
      if (left.length > 0) world.violated('all is delivered', `on disk at the end: ${left}`)
    },
    /** Counts for the coverage. */
    counts: () => ({ arrived: arrived.size, sessions: facts.sessions.length }),
  }
}
