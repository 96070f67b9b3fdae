// Why an alert that a life had is gone: which of the reasons that were counted can be true of it.

import { held, total } from '../../src/forward/accounting/counters.ts'
import { lineOf } from './alerts.ts'
import type { KnownLife } from './lives.ts'
import { unexplained } from './matching.ts'
import { whereaboutsOf } from './pipe.ts'
import type { Scenario } from './scenario.ts'
import type { Parts } from './simulate.ts'

export function createExplanation({ config, alerts }: Scenario, parts: Parts) {
  const { facts } = parts.server
  const byNumber = new Map(alerts.map((alert) => [alert.number, alert]))
  const lengths = new Map(alerts.map((alert) => [alert.number, lineOf(alert).length]))
  /** Headers, with the id of JetStream. */
  const HEADER_BYTES = 300

  const mayBeTooLarge = (number: number) =>
    lengths.get(number)! + HEADER_BYTES > facts.lowestMaxPayload

  function reasonsOf(number: number): string[] {
    const { severity } = byNumber.get(number)!
    const fate = parts.pipe.fates.get(number)!
    const reasons: [reason: string, canBe: boolean][] = [
      ['too_long', lengths.get(number)! > config.maxLineBytes || !fate.isAlone],
      ['filtered', severity > config.minPriority],
      ['permission_denied', facts.deniedNumbers.has(number)],
      ['exceeds_max_payload', mayBeTooLarge(number)],
      ['refused_by_stream', facts.refusedNumbers.has(number)],
      ['unreadable', parts.disk.destroyed.has(number)],
      ['invalid_json', !fate.isAlone || !fate.isIntact],
      ['not_an_alert', !fate.isAlone || !fate.isIntact],
      [`dropped ${severity}`, true],
      ['left', true],
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
      ['left', wasKilled ? 0 : held(counters) - counters.spooled],
    ])
  }

  return {
    /** The alerts whose lines the life has read whole. */
    readBy: ({ number: life }: KnownLife): number[] =>
      [...parts.pipe.fates.values()]
        .filter(
          (fate) => fate.number > 0 && whereaboutsOf(fate) === 'read' && fate.readBy[0] === life,
        )
        .map(({ number }) => number),
    /** Whether NATS may have refused the alert for good. */
    mayBeRefused: (number: number): boolean =>
      facts.deniedNumbers.has(number) || facts.refusedNumbers.has(number) || mayBeTooLarge(number),
    /** Those of the alerts, gone in this life, that nothing which it has counted explains. */
    unexplained: (life: KnownLife, numbers: readonly number[]): readonly number[] =>
      life.measure === undefined || numbers.length === 0
        ? numbers
        : unexplained(numbers, reasonsOf, countsOf(life)),
  }
}
