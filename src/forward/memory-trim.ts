// Keeps V8's heap small, and gives back to the system the memory that start-up and bursts needed. V8 would keep it until
// it needs room.

import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import type { Counters } from './accounting/counters.ts'

const LOOK_INTERVAL_MS = 1_000
/** Less in that time is little. A collection takes 15 ms, and what was compiled is compiled again. */
const LITTLE_BYTES = 4 * 1024 * 1024
/** So many looks in which little came. */
const QUIET_LOOKS = 2

type Collect = (options: { type: 'major'; flavor: 'last-resort' }) => void

/** Collects once after the start, then whenever much has been read and little comes. */
export function keepTrim(counters: Counters, collect = collectAll): Disposable {
  // By itself V8 lets the space for new objects grow to 64 MB and more when many of them live for a second, such as
  // connections and alerts with a rule of their own each. At 2 MB a burst costs as much CPU, and JetStream 2 % more.
  setFlagsFromString('--semi-space-growth-factor=1')
  let isDue = true
  let quietLooks = QUIET_LOOKS - 1
  let seen = 0
  const looking = setInterval(() => {
    const isQuiet = counters.bytesRead - seen < LITTLE_BYTES
    seen = counters.bytesRead
    quietLooks = isQuiet ? quietLooks + 1 : 0
    if (!isQuiet) isDue = true
    if (!isDue || quietLooks < QUIET_LOOKS) return
    isDue = false
    collect()
  }, LOOK_INTERVAL_MS).unref()
  return { [Symbol.dispose]: () => clearInterval(looking) }
}

/** All that is not in use, and what was compiled as well. */
export function collectAll(): void {
  // The only way to V8's collector without an argument for Node, which a file cannot give itself.
  setFlagsFromString('--expose-gc')
  const gc: Collect = runInNewContext('gc')
  gc({ type: 'major', flavor: 'last-resort' })
}
