// What must hold: at each step, at the end of each life, and at the end of the run.

import { type Counters, held, total } from '../../src/forward/accounting/counters.ts'
import { leastSevereKept } from '../../src/forward/buffer/when-full.ts'
import type { Measured } from '../../src/forward/telemetry/metrics.ts'
import { createAccounts } from './accounts.ts'
import { type AlertSpec, passes } from './alerts.ts'
import type { WhyLeft } from './disk-file.ts'
import { createExplanation } from './explanation.ts'

import type { Fate } from './fifo.ts'
import { type KnownLife, PIPE } from './lives.ts'
import { whereaboutsOf } from './pipe.ts'
import { type Scenario, STOP_MS } from './scenario.ts'
import type { Parts } from './simulate.ts'
import { createUrgency } from './urgency.ts'
import type { World } from './world.ts'

export type Invariants = ReturnType<typeof createInvariants>

/** Alerts may overtake rows from then on, also in the next lives: the log has that these cannot be read, or are given up. */
const DISORDERLY = /^the spool (cannot be read|is damaged)/
/** What a stop may read beyond the buffer: what the pipe holds, and the rest of a line. */
const STOP_BYTES = 256 * 1024
/** Subject, headers, and the objects of a batch. */
const ALERT_BYTES = 1024
/** The log of the spool, and rows of all alerts. */
const ROOM_BYTES = (1024 + 256) * 1024
export function createInvariants(world: World, scenario: Scenario, parts: Parts) {
  const { config, alerts, faults } = scenario
  const { server, disk, pipe, falco, lives } = parts
  const { facts } = server
  const kinds = new Set(faults.map(({ kind }) => kind))
  const explanation = createExplanation(scenario, parts)
  const accounts = createAccounts(scenario, parts)
  const urgency = createUrgency(world, scenario, parts)
  const arrivals = config.jetstream ? facts.stored : facts.arrivals
  const arrived = new Set<number>()
  const arrivedBySession: Set<number>[] = []
  let arrivalsSeen = 0
  /** Of the life that lasts: what has been on the disk, and what has arrived, each once. */
  let onDisk = new Set<number>()
  let arrivedOfLife: number[] = []
  let droppedSeen: readonly number[] = []
  let isOrderly = true
  /** Alerts that have left rows in this step; a kill may come before the process counts what it has dropped. */
  const leftInStep = new Set<number>()

  const failsDisk = [...kinds].some((kind) => kind.startsWith('disk'))
  const leastKept = leastSevereKept(config.whenFull)
  const losesPipe = kinds.has('pipe gone') || kinds.has('pipe replaced')
  /** In damaged rows, too: these are counted when they are read. */
  const numbersOnDisk = () => disk.stored().flatMap(({ numbers }) => numbers)

  function say(wrong: readonly [string, string] | undefined): void {
    if (wrong) world.violated(...wrong)
  }

  function lookAtArrivals(): void {
    for (; arrivalsSeen < arrivals.length; arrivalsSeen++) {
      const { number } = arrivals[arrivalsSeen]!
      if (number === undefined) continue
      arrived.add(number)
      if (!config.jetstream) lookAtSession(number, arrivals[arrivalsSeen]!.session)
      const { session } = arrivals[arrivalsSeen]!
      if (facts.sessions[session - 1]!.life === lives.current()?.number) lookAtOrder(number)
    }
  }

  function lookAtSession(number: number, session: number): void {
    const arrivedInSession = arrivedBySession[session] ?? new Set<number>()
    arrivedBySession[session] = arrivedInSession
    if (arrivedInSession.has(number))
      world.violated('once in a session', `alert ${number} in session ${session}`)
    arrivedInSession.add(number)
  }

  function noteDisorder({ log }: Pick<KnownLife, 'log'>): void {
    isOrderly &&= !log.some(({ message }) => DISORDERLY.test(message))
  }

  function lookAtOrder(number: number): void {
    if (arrivedOfLife.includes(number)) return
    arrivedOfLife.push(number)
    // NATS may have refused it for a while. Two writers have no order.
    if (explanation.mayBeRefused(number) || kinds.has('second writer')) return
    noteDisorder(lives.current()!)
    if (!isOrderly) return
    const overtaken = arrivedOfLife.filter((other) => other > number).length
    if (overtaken > (config.jetstream ? config.maxInFlight - 1 : 0))
      world.violated('order', `alert ${number} arrives behind ${overtaken} later ones`)
  }

  function lookAtBooks(life: KnownLife): void {
    if (life.measure === undefined) return
    const measured = life.measure()
    const { counters, vitals, batcherAlerts } = measured
    urgency.step(life, measured)
    say(accounts.atStep(life, counters))
    const there = batcherAlerts + vitals.bufferAlerts + counters.spooled
    const mayStop = life.stoppedAt !== undefined || losesPipe
    // A line that a stop cuts off is read, and nowhere.
    const nowhere = held(counters) - there
    if (nowhere !== 0 && !(nowhere === 1 && mayStop))
      world.violated('books', `${held(counters)} held, ${there} in memory and on disk`)
    // A batch that was almost full grows by the longest line, and by as much as it had.
    const largest = 2 * config.batchBytes + config.maxLineBytes + ALERT_BYTES
    if (vitals.bufferBytes > config.bufferBytes + 2 * largest + (mayStop ? STOP_BYTES : 0))
      world.violated(
        'bytes in memory',
        `${vitals.bufferBytes} of ${config.bufferBytes}, batches ${config.batchBytes}, lines ${config.maxLineBytes}`,
      )
    if (disk.bytes() > config.spoolBytes) world.violated('bytes on disk', `${disk.bytes()}`)
    // Two writers may mix an alert out of the parts of two others.
    if (counters.delivered > facts.confirmed.size && !kinds.has('second writer'))
      world.violated(
        'released before confirmed',
        `${counters.delivered} delivered, ${facts.confirmed.size} confirmed`,
      )
    for (const { unanswered } of facts.sessions)
      if (unanswered.size > config.maxInFlight && !kinds.has('maxPayload'))
        world.violated('alerts in flight', `${unanswered.size}`)
    lookAtDrops(life, counters, vitals.inFlightAlerts + batcherAlerts)
    lookAtPause(life, measured)
  }

  /** So many of the alerts less severe than that are read, and neither dropped nor delivered. */
  function heldBelow(severity: number, life: KnownLife, { dropped }: Counters): number {
    const had = new Set([...onDisk, ...explanation.readBy(life)])
    const isHeld = (alert: AlertSpec) => {
      const { number, severity: other, length } = alert
      return (
        had.has(number) &&
        pipe.fates.get(number)!.isAlone &&
        other > severity &&
        passes(alert, config) &&
        length <= config.maxLineBytes &&
        !arrived.has(number) &&
        !explanation.mayBeRefused(number)
      )
    }
    return alerts.filter(isHeld).length - total(dropped.slice(severity + 1))
  }

  /** Less severe alerts are dropped first: others may stay only where they are in flight. */
  function lookAtDrops(life: KnownLife, counters: Counters, kept: number): void {
    const { dropped } = counters
    const severity = dropped.findIndex((count, index) => count > (droppedSeen[index] ?? 0))
    if (severity < 0) return
    droppedSeen = [...dropped]
    if (severity <= leastKept)
      world.violated('drops', `of severity ${severity} with ${config.whenFull}`)
    const heldLess = heldBelow(severity, life, counters)
    if (heldLess > kept && !failsDisk)
      world.violated('drops', `of severity ${severity}, while ${heldLess} less severe are held`)
  }

  /** Alerts that may be dropped are before Falco waits for room. */
  function lookAtPause(life: KnownLife, { counters, vitals, batcherAlerts }: Measured): void {
    const waits = counters.pausedSince !== undefined && vitals.bufferBytes > config.bufferBytes
    if (!waits || failsDisk || config.whenFull === 'block') return
    const held = heldBelow(leastKept, life, counters)
    if (held > vitals.inFlightAlerts + batcherAlerts)
      world.violated('drops', `none of ${held} held below ${leastKept}, while Falco waits`)
  }

  /** No process could count them: dropped right before a kill, or in a row that a lying disk has lost. */
  const mayBeUncounted = (number: number) =>
    (config.whenFull !== 'block' && leftInStep.has(number)) || disk.destroyed.has(number)

  function lookAtEnd(life: KnownLife): void {
    const there = new Set(numbersOnDisk())
    for (const number of there) onDisk.add(number)
    const had = new Set([...onDisk, ...explanation.readBy(life)])
    const wasKilled = life.end === 'kill' || life.end === 'power cut'
    const missing = [...had].filter((number) => !arrived.has(number) && !there.has(number))
    const silent = explanation.unexplained(
      life,
      missing.filter((number) => !wasKilled || (onDisk.has(number) && !mayBeUncounted(number))),
    )
    if (silent.length > 0)
      world.violated(wasKilled ? 'kept on disk' : 'nothing lost in silence', `${silent}`)
    if (!wasKilled) say(accounts.untold(life))
    if (life.measure === undefined) return
    const untrue = explanation.untrue(life, had)
    if (untrue !== undefined) world.violated('counts are true', untrue)
    if (wasKilled) return
    const { counters } = life.measure()
    if (counters.rejected.internal_error > 0) world.violated('no bug', 'internal_error')
    const isPipeTouched = losesPipe || kinds.has('name of the next pipe taken')
    const hasFailed = life.end === 'failed' || life.log.at(-1)!.message.includes('the pipe ')
    if (hasFailed && !isPipeTouched) world.violated('no false alarm', life.log.at(-1)!.message)
    if (!hasFailed) say(accounts.atEnd(life, counters, held(counters)))
    const waitedMs = world.time.now() - (life.stoppedAt ?? world.time.now())
    if (waitedMs > config.drainTimeout + STOP_MS && !kinds.has('diskSlow'))
      world.violated('a stop ends', `after ${waitedMs} ms`)
    const { batcherAlerts, vitals } = life.measure()
    const cutOff = explanation.partlyReadBy(life) > 0 || kinds.has('odd line') ? 1 : 0
    const left = held(counters) - counters.spooled
    if (left > batcherAlerts + vitals.bufferAlerts + cutOff)
      world.violated('books', `${left} left, ${batcherAlerts + vitals.bufferAlerts} in memory`)
    if (left > cutOff && hasRoomOnDisk()) world.violated('a stop keeps all', `${left} left`)
    const isInTime = waitedMs < config.drainTimeout && life.abandonedAt === undefined
    if (left > cutOff && isInTime && !hasFailed)
      world.violated('drain', `${left} left after ${waitedMs} ms`)
  }

  /** For whatever was read, unless something is wrong with the disk. */
  const hasRoomOnDisk = () =>
    config.spoolBytes > 0 && !failsDisk && disk.bytes() + ROOM_BYTES < config.spoolBytes

  /** At an orderly stop the pipe is set aside and read to its end. */
  function lookAtPipe(life: KnownLife): void {
    const isClean = life.end === 'delivered' || life.end === 'lost'
    if (!isClean || !config.canBeSetAside || losesPipe) return
    const left = [...pipe.stranded(PIPE, life)].map(({ number }) => number)
    if (left.length > 0) world.violated('nothing left in the pipe', left.join(' '))
  }

  /** Lines that can be read. */
  function unread(): Fate[] {
    const written = [...pipe.fates.values()].filter((fate) => whereaboutsOf(fate) === 'unread')
    if (written.length === 0) return written
    const stranded = pipe.stranded(PIPE)
    return written.filter((fate) => !stranded.has(fate))
  }

  return {
    lifeStarted(): void {
      onDisk = new Set(numbersOnDisk())
      arrivedOfLife = []
      urgency.lifeStarted()
      droppedSeen = []
    },
    /** Rows have left the disk. */
    left(numbers: readonly number[], why: WhyLeft): void {
      for (const number of numbers) {
        onDisk.add(number)
        leftInStep.add(number)
        if (why !== 'dropped' || config.whenFull === 'drop') continue
        if (alerts.some((alert) => alert.number === number && alert.severity > leastKept)) continue
        // What two writers have mixed may be refused as another alert.
        if (!pipe.fates.get(number)!.isAlone) continue
        if (!facts.answered.has(number) && !explanation.mayBeRefused(number))
          world.violated('released before confirmed', `the row of alert ${number} is gone`)
      }
    },
    step(): void {
      leftInStep.clear()
      lookAtArrivals()
      const life = lives.current()
      if (life) lookAtBooks(life)
    },
    /** `close` is what the kernel does then. */
    lifeEnded(life: KnownLife, close: () => void): void {
      if (life.end !== 'kill' && life.end !== 'power cut') say(accounts.leftOpen(life))
      close()
      lookAtArrivals()
      lookAtEnd(life)
      noteDisorder(life)
      leftInStep.clear()
      lookAtPipe(life)
    },
    /** Whether all that Falco wrote has got where it can get to. */
    isDelivered(): boolean {
      if (!falco.done()) return false
      const measured = lives.current()?.measure?.()
      return measured !== undefined && held(measured.counters) === 0 && unread().length === 0
    },
    waiting(): string {
      const counters = lives.current()?.measure?.().counters
      return `${falco.done() ? '' : 'Falco waits, '}${unread().length} lines unread, ${counters && held(counters)} alerts held`
    },
    isLeftOnDisk: () => numbersOnDisk().some((number) => !arrived.has(number)),
    end(): void {
      if (this.isLeftOnDisk()) world.violated('all is delivered', 'the disk has alerts at the end')
    },
  }
}
