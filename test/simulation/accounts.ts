// What a life says of itself, held to what the world has seen of it: its counters, its log, what it leaves open.

import { type Counters, total } from '../../src/forward/accounting/counters.ts'
import type { KnownLife } from './lives.ts'
import type { Scenario } from './scenario.ts'
import { isConnected } from './server/facts.ts'
import type { Parts } from './simulate.ts'

type Untruth = readonly [invariant: string, detail: string]

const OPENING_FAILED = /^the spool (was damaged|cannot be used)|^the log of the spool/
const DELIVERY_REJECTS = ['permission_denied', 'exceeds_max_payload', 'refused_by_stream'] as const

export function createAccounts({ faults }: Scenario, { server, disk, pipe }: Parts) {
  const { facts } = server
  /** Of two writers: the disk does not know such alerts. */
  const areMixed = faults.some(({ kind }) => kind === 'second writer')
  const failsDisk = faults.some(({ kind }) => kind.startsWith('disk'))

  const sessionsOf = ({ number: life }: KnownLife) =>
    facts.sessions.filter((session) => session.life === life)

  const rejectedByServer = ({ rejected }: Counters) =>
    DELIVERY_REJECTS.reduce((sum, reason) => sum + rejected[reason], 0)

  /** What a count is, and what it must be. */
  function* countsOf(
    life: KnownLife,
    counters: Counters,
  ): Iterable<[name: string, is: number, expected: number]> {
    const { bytesRead, sessions, delivered, batchAlerts } = counters
    yield ['bytes read', bytesRead, pipe.bytesRead[life.number] ?? 0]
    yield ['sessions', sessions, sessionsOf(life).length]
    yield ['observed', batchAlerts.sum, delivered + rejectedByServer(counters)]
    if (failsDisk) return
    yield ['spool errors', counters.spoolErrors, 0]
    if (disk.isOpen() && !areMixed) yield ['spooled', counters.spooled, disk.alerts()]
  }

  /** Published once more, as far as the server has seen it. */
  function seenAgain(life: KnownLife): number {
    const published = sessionsOf(life).flatMap((session) => session.published)
    return published.length - new Set(published).size
  }

  /** Whether the first acknowledgements that came in were for an alert that the stream had. */
  const duplicatesIn = (life: KnownLife) =>
    sessionsOf(life).flatMap(({ duplicates }) => [...duplicates.values()].filter(Boolean)).length

  /** All was delivered in one session, and nothing refused. */
  const isSimple = (life: KnownLife, counters: Counters, held: number) =>
    held === 0 && sessionsOf(life).length === 1 && rejectedByServer(counters) === 0

  function isLoss({ rejected, dropped, unreadable, spooled }: Counters, held: number): boolean {
    const refused = DELIVERY_REJECTS.some((reason) => rejected[reason] > 0)
    return refused || rejected.internal_error + total(dropped) + unreadable > 0 || held > spooled
  }

  return {
    atStep(life: KnownLife, counters: Counters): Untruth | undefined {
      for (const [name, is, expected] of countsOf(life, counters))
        if (is !== expected) return ['counts are exact', `${is} ${name}, not ${expected}`]
      return undefined
    },
    /** At an end that is no kill. `held` is what the books hold. */
    atEnd(life: KnownLife, counters: Counters, held: number): Untruth | undefined {
      const again = seenAgain(life)
      if (counters.resent < again)
        return ['counts are exact', `${again} resent, not ${counters.resent}`]
      const duplicates = duplicatesIn(life)
      if (
        counters.duplicates > duplicates ||
        (counters.duplicates < duplicates && isSimple(life, counters, held))
      )
        return ['counts are exact', `${duplicates} duplicates, not ${counters.duplicates}`]
      if (life.end === 'delivered' && life.stoppedAt === undefined)
        return ['exit code', 'delivered, and nobody asked for an end']
      const last = life.log.at(-1)!
      const isError = last.level === 'error'
      if (!last.message.startsWith('done: ') || isError !== isLoss(counters, held))
        return ['the log is true', `${last.level}: ${last.message}`]
      if ((life.end === 'lost') !== isError) return ['exit code', `${life.end}: ${last.message}`]
      return undefined
    },
    /** What the log names, at any end. */
    untold(life: KnownLife): Untruth | undefined {
      const named = new Set(life.log.flatMap(({ fields }) => Object.values(fields)))
      const path = disk.asideOf(life).find((each) => !named.has(each))
      if (path !== undefined) return ['the log is true', `it does not name ${path}`]
      const tells = life.log.some(({ message }) => OPENING_FAILED.test(message))
      if (tells && life.measure?.().counters.spoolErrors === 0)
        return ['counts are exact', '0 spool errors, and the log has one']
      return undefined
    },
    /** Before the kernel closes it. */
    leftOpen(life: KnownLife): Untruth | undefined {
      if (isConnected(facts, life)) return ['nothing left open', 'a session']
      if (life.intervals() > 0) return ['nothing left open', `${life.intervals()} intervals`]
      if (pipe.isOpenBy(life)) return ['nothing left open', 'the pipe']
      return disk.isOpen() ? ['nothing left open', 'the spool'] : undefined
    },
  }
}
