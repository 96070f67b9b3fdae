// What is wrong with a simulated disk for a time: accesses that fail, or take long, and syncs that are not done.

import { DISK_ERRORS } from './disk-errors.ts'
import type { VirtualTime } from './virtual-clock.ts'

/** `remove` is a write that deletes rows; `sync` ends each commit. */
export type Access = 'open' | 'read' | 'write' | 'remove' | 'sync'

interface Failure {
  readonly until: number
  readonly accesses: readonly Access[]
  readonly error: (access: Access) => Error
}

interface Slowness {
  readonly until: number
  /** The process stands still for so long at each read and each commit. */
  readonly accessMs: number
  readonly openingMs: number
}

interface Lies {
  readonly until: number
  /** How many commits a power cut takes, at most. */
  readonly commits: number
  /** Whether the next opening finds that something is missing. */
  readonly areSeen: boolean
}

const NEVER = 0

export function createTroubles(time: VirtualTime) {
  let failures: Failure[] = []
  let slow: Slowness = { until: NEVER, accessMs: 0, openingMs: 0 }
  let lies: Lies = { until: NEVER, commits: 0, areSeen: false }

  function failureOf(access: Access): Failure | undefined {
    if (failures.length === 0) return undefined
    const now = time.now()
    return failures.find(({ until, accesses }) => now < until && accesses.includes(access))
  }

  return {
    fail(ms: number, accesses: readonly Access[], error: Failure['error']): void {
      failures.push({ until: time.now() + ms, accesses, error })
    },
    slowDown(ms: number, accessMs: number, openingMs: number): void {
      slow = { until: time.now() + ms, accessMs, openingMs }
    },
    lie(ms: number, commits: number, areSeen: boolean): void {
      lies = { until: time.now() + ms, commits, areSeen }
    },
    end(): void {
      failures = []
      slow = { ...slow, until: NEVER }
      lies = { ...lies, until: NEVER }
    },
    /** Throws if the access fails. A slow one blocks the process: time jumps. */
    pass(access: Access): void {
      if (time.now() < slow.until && (access === 'read' || access === 'sync'))
        time.block(slow.accessMs)
      const failure = failureOf(access)
      if (failure) throw failure.error(access)
    },
    openingMs: () => (time.now() < slow.until ? slow.openingMs : 0),
    isLying: () => time.now() < lies.until,
    /** The last that did, or does. */
    lies: () => lies,
    readFailure: () => failureOf('read') && DISK_ERRORS.readItself(),
  }
}
