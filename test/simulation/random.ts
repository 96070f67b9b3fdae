// Seeded random numbers. Each part of the world draws from a stream of its own, so that a scenario with one fault
// less, or one alert less, draws the same for all that is left.

import { generator } from '../support/random.ts'

export type Random = ReturnType<typeof createRandom>

/** `topic` names the stream: `server`, `disk`, an alert, a fault. */
export function createRandom(seed: number, topic = '') {
  let mixed = seed | 0
  for (let at = 0; at < topic.length; at++)
    mixed = Math.imul(mixed ^ topic.charCodeAt(at), 0x01000193)
  const below = generator(mixed)
  const random = {
    /** A whole number from 0, below `limit`. */
    below,
    /** A number from 0, below 1, as Math.random gives it. */
    part: () => below(2 ** 30) / 2 ** 30,
    /** A whole number from `min` to `max`, both included. */
    between: (min: number, max: number) => min + below(max - min + 1),
    /** True once in `times`. */
    onceIn: (times: number) => below(times) === 0,
    pick: <T>(list: readonly T[]): T => list[below(list.length)]!,
  }
  return random
}
