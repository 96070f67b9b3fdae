// Keeps V8's heap small: the space for new objects, and what the start has left.

import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'

/** By then there is a session, and what made it is garbage. */
const STARTED_MS = 1_000

/** Holds new objects to little space from now on, and collects once after the start. */
export function trimHeap(collect = collectAll): void {
  // By itself V8 lets this space grow to 64 MB and more when many of them live for a second, such as connections
  // and alerts with a rule of their own each. At 2 MB a burst costs as much CPU, and JetStream 2 % more.
  setFlagsFromString('--semi-space-growth-factor=1')
  setTimeout(collect, STARTED_MS).unref()
}

/**
 * All that is not in use, and what was compiled as well. An idle process has 14.3 MiB anonymous memory in place of
 * 17.1 (all of it: 57.5 and 60.1), one that gets 1,000 alerts/s 22.6 in place of 25.3. After a burst it gains nothing.
 */
export function collectAll(): void {
  // The only way to V8's collector without an argument for Node, which a file cannot give itself.
  setFlagsFromString('--expose-gc')
  const gc: (options: { type: 'major'; flavor: 'last-resort' }) => void = runInNewContext('gc')
  gc({ type: 'major', flavor: 'last-resort' })
}
