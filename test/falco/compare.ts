// What Falco printed beside what arrived, byte for byte.

import type { Received } from '../support/nats.ts'
import { expectedSubject } from '../support/pipe.ts'

export interface Comparison {
  /** Places in `printed` of the alerts that did not arrive. */
  readonly missing: readonly number[]
  /** How many arrived once more. */
  readonly twice: number
  /** Payloads that Falco did not print. */
  readonly unknown: readonly string[]
  /** Whether the first arrivals are in Falco's order. */
  readonly inOrder: boolean
  /** Subjects that the Go tools would not have given. */
  readonly odd: readonly string[]
}

/** Looks for the alerts from place `from` on; those before may have arrived, too. No two are equal: each has its time. */
export function compare(
  printed: readonly Buffer[],
  from: number,
  received: readonly Received[],
): Comparison {
  const places = new Map(printed.map((line, place) => [line.toString('latin1'), place]))
  const arrived = new Set<number>()
  const unknown: string[] = []
  const odd: string[] = []
  let twice = 0
  let inOrder = true
  let last = -1
  for (const { subject, data } of received) {
    const place = places.get(data.toString('latin1'))
    if (place === undefined) {
      unknown.push(data.toString())
      continue
    }
    const expected = expectedSubject(data)
    if (expected !== undefined && expected !== subject) odd.push(subject)
    if (arrived.has(place)) {
      twice++
      continue
    }
    arrived.add(place)
    if (place < last) inOrder = false
    last = place
  }
  const missing = [...printed.keys()].filter((place) => place >= from && !arrived.has(place))
  return { missing, twice, unknown, inOrder, odd }
}
