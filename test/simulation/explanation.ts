// Why an alert that a life had is gone: which of the reasons that were counted can be true of it.

import { held, total } from '../../src/forward/accounting/counters.ts'
import { leastSevereKept } from '../../src/forward/buffer/when-full.ts'
import { lineOf, passes } from './alerts.ts'
import type { KnownLife } from './lives.ts'
import { unexplained } from './matching.ts'
import { whereaboutsOf } from './pipe.ts'
import { headerBytes, type Scenario } from './scenario.ts'
import type { Parts } from './simulate.ts'

/** They count more than alerts of this life. */
const NOT_BY_ALERT = new Set(['too_long', 'invalid_json', 'not_an_alert', 'left', 'moved aside'])

export function createExplanation({ config, alerts, faults }: Scenario, parts: Parts) {
  const { facts } = parts.server
  /** Two writers may mix several alerts into one line, which counts once, and into an alert that none of them wrote. */
  const areMixed = faults.some(({ kind }) => kind === 'second writer')
  const byNumber = new Map(alerts.map((alert) => [alert.number, alert]))
  const lengths = new Map(alerts.map((alert) => [alert.number, lineOf(alert).length]))

  const mayBeTooLarge = (number: number) =>
    lengths.get(number)! + headerBytes(config) > facts.lowestMaxPayload

  /** A denial names a subject, and not the alert: another of the same subject may be taken for it. */
  function mayBeDenied(number: number): boolean {
    const { rule, severity } = byNumber.get(number)!
    const isSame = (other: number) =>
      byNumber.get(other)?.rule === rule && byNumber.get(other)?.severity === severity
    return [...facts.deniedNumbers].some(isSame)
  }

  /** The log names the file. */
  const movedAside = () => parts.disk.movedAside().flatMap(({ numbers }) => numbers)

  function reasonsOf(number: number): string[] {
    const alert = byNumber.get(number)!
    const fate = parts.pipe.fates.get(number)!
    const reasons: [reason: string, canBe: boolean][] = [
      ['too_long', lengths.get(number)! > config.maxLineBytes || !fate.isAlone],
      ['filtered', !passes(alert, config)],
      ['permission_denied', mayBeDenied(number)],
      ['exceeds_max_payload', mayBeTooLarge(number)],
      ['refused_by_stream', facts.refusedNumbers.has(number)],
      ['unreadable', parts.disk.destroyed.has(number)],
      ['invalid_json', !fate.isAlone || !fate.isIntact],
      ['not_an_alert', !fate.isAlone || !fate.isIntact],
      [`dropped ${alert.severity}`, alert.severity > leastSevereKept(config.whenFull)],
      ['left', true],
      ['moved aside', movedAside().includes(number)],
    ]
    return reasons.filter(([, canBe]) => canBe).map(([reason]) => reason)
  }

  function countsOf(life: KnownLife): Map<string, number> {
    const { counters } = life.measure!()
    const wasKilled = life.end === 'kill' || life.end === 'power cut'
    return new Map([
      ...Object.entries(counters.rejected),
      ...counters.dropped.map((count, severity): [string, number] => [
        `dropped ${severity}`,
        count,
      ]),
      ['filtered', total(counters.filtered)],
      ['unreadable', counters.unreadable],
      ['moved aside', movedAside().length],
      ['left', wasKilled ? 0 : held(counters) - counters.spooled],
    ])
  }

  /** Lines that are torn, or of which another life read a part, may be alerts for all that. */
  const partlyReadBy = ({ number: life }: KnownLife): number =>
    [...parts.pipe.fates.values()].filter(
      (fate) => whereaboutsOf(fate) !== 'read' && fate.readBy.includes(life),
    ).length

  return {
    partlyReadBy,
    /** The alerts whose lines the life has read whole. */
    readBy: ({ number: life }: KnownLife): number[] =>
      [...parts.pipe.fates.values()]
        .filter(
          (fate) =>
            fate.number > 0 &&
            (fate.isAlone || !areMixed) &&
            whereaboutsOf(fate) === 'read' &&
            fate.readBy[0] === life,
        )
        .map(({ number }) => number),
    /** Whether NATS may have refused the alert for good. */
    mayBeRefused: (number: number): boolean =>
      mayBeDenied(number) || facts.refusedNumbers.has(number) || mayBeTooLarge(number),
    /** A count that is more than all alerts of which it can be true. */
    untrue(life: KnownLife, had: ReadonlySet<number>): string | undefined {
      if (areMixed) return undefined
      const partial = partlyReadBy(life)
      const possible = new Map<string, number>()
      for (const number of had)
        for (const reason of reasonsOf(number))
          possible.set(reason, (possible.get(reason) ?? 0) + 1)
      // The number is right, whichever alert was taken for it.
      possible.set(
        'permission_denied',
        [...had].filter((each) => facts.deniedNumbers.has(each)).length,
      )
      for (const [reason, count] of countsOf(life))
        if (!NOT_BY_ALERT.has(reason) && count > (possible.get(reason) ?? 0) + partial)
          return `${count} ${reason}, of ${possible.get(reason) ?? 0}`
      return undefined
    },
    /** Those of the alerts, gone in this life, that nothing which it has counted explains. */
    unexplained: (life: KnownLife, numbers: readonly number[]): readonly number[] =>
      life.measure === undefined || numbers.length === 0
        ? numbers
        : unexplained(numbers, reasonsOf, countsOf(life)),
  }
}
