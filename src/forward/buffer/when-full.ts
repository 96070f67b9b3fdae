// --when-full: which alerts are dropped when neither memory nor spool has room, and for which Falco waits.

import { PRIORITIES } from '../../shared/alert/alert.ts'

/** All but the least severe, below which there is nothing to drop. */
const FLOORS = PRIORITIES.filter((priority) => priority !== 'debug')

export type WhenFull = 'block' | 'drop' | `drop-below-${(typeof FLOORS)[number]}`
export const WHEN_FULL: readonly WhenFull[] = [
  'block',
  'drop',
  ...FLOORS.map((floor) => `drop-below-${floor}` as const),
]

/** The least severe priority that is never dropped, as an index into PRIORITIES; -1: there is none. */
export function leastSevereKept(policy: WhenFull): number {
  if (policy === 'block') return PRIORITIES.length - 1
  return PRIORITIES.findIndex((priority) => policy === `drop-below-${priority}`)
}

/** What falco-nats does then, for the log. */
export function whatIfFull(policy: WhenFull): string {
  if (policy === 'block') return 'Falco waits'
  if (policy === 'drop') return 'the least severe alerts are dropped'
  return `alerts below ${PRIORITIES[leastSevereKept(policy)]} are dropped, then Falco waits`
}
