// What the parts of a simulated world share.

import type { Clock } from '../../src/shared/clock.ts'
import type { Random } from './random.ts'
import type { VirtualTime } from './virtual-clock.ts'

export interface World {
  readonly time: VirtualTime
  /** The stream of random numbers for one topic. */
  random(topic: string): Random
  /** Adds an event to the trace: one line, in the past or present tense, `who does what`. */
  trace(text: () => string): void
  /** Something that must hold does not: the run ends. `invariant` is a short name, the same for the same trouble. */
  violated(invariant: string, detail: string): void
}

/** One life of falco-nats, from a start to a stop, a kill or a power cut. */
export interface Life {
  readonly number: number
  /** False after a kill: from then on nothing that it does has any effect, and nothing calls it. */
  isAlive(): boolean
  /** Its time; its timers end with it. */
  readonly clock: Clock
  /**
   * To be called by each part of the world at each step that this life takes: a read, a write, an access to the disk.
   * It may kill the life before or after that step.
   */
  step(): void
}
