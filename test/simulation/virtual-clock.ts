// Virtual time: it stands still while code runs, and jumps to the next event when all that code waits for is time.

import type { Clock, Timer } from '../../src/shared/clock.ts'

/** 2026-01-01, as the alerts' times begin there. */
const EPOCH_MS = Date.UTC(2026, 0, 1)

interface Event {
  readonly at: number
  readonly order: number
  step: (() => void) | undefined
}

export type VirtualTime = ReturnType<typeof createVirtualTime>

/** One line of time for all clocks of a world. Events of one moment run in the order in which they were asked for. */
export function createVirtualTime() {
  const heap: Event[] = []
  let now = 0
  let asked = 0
  const timeouts = new Set<AbortController>()

  const isBefore = (a: Event, b: Event) => a.at < b.at || (a.at === b.at && a.order < b.order)

  function push(event: Event): void {
    let at = heap.length
    for (let up = (at - 1) >> 1; at > 0 && isBefore(event, heap[up]!); up = (at - 1) >> 1) {
      heap[at] = heap[up]!
      at = up
    }
    heap[at] = event
  }

  function pop(): Event | undefined {
    const first = heap[0]
    const last = heap.pop()
    if (heap.length === 0 || last === undefined) return first
    let at = 0
    for (let down = 1; down < heap.length; down = 2 * at + 1) {
      if (down + 1 < heap.length && isBefore(heap[down + 1]!, heap[down]!)) down++
      if (!isBefore(heap[down]!, last)) break
      heap[at] = heap[down]!
      at = down
    }
    heap[at] = last
    return first
  }

  function at(when: number, step: () => void): Timer {
    const event: Event = { at: Math.max(when, now), order: asked++, step }
    push(event)
    return {
      [Symbol.dispose]() {
        event.step = undefined
      },
    }
  }

  /** A clock whose timers end with `isAlive`: those of a killed process never fire. */
  function clockFor(isAlive: () => boolean = () => true): Clock {
    const after = (ms: number, step: () => void): Timer => at(now + ms, () => isAlive() && step())
    return {
      now: () => now,
      date: () => EPOCH_MS + Math.floor(now),
      after,
      every(ms, step) {
        let timer: Timer
        const again = () => {
          timer = after(ms, again)
          step()
        }
        timer = after(ms, again)
        return { [Symbol.dispose]: () => timer[Symbol.dispose]() }
      },
      delay: (ms, signal) =>
        new Promise((resolve, reject) => {
          if (signal?.aborted) return reject(signal.reason)
          const timer = after(ms, () => resolve())
          signal?.addEventListener('abort', () => {
            timer[Symbol.dispose]()
            reject(signal.reason)
          })
        }),
      timeout(ms) {
        const late = new AbortController()
        timeouts.add(late)
        after(ms, () => {
          timeouts.delete(late)
          late.abort(new DOMException('timed out', 'TimeoutError'))
        })
        return late.signal
      },
      afterPoll: () => new Promise((resolve) => after(0, resolve)),
    }
  }

  return {
    now: () => now,
    clockFor,
    /** At the end of the world: Node keeps signals that depend on others, and all behind them, until one aborts. */
    release(): void {
      for (const late of timeouts) late.abort()
    },
    /** Calls `step` at the time `when`, or now where that is over. */
    at,
    /** Lets `ms` pass within a call that blocks the process: what was due meanwhile happens after it, in order. */
    block(ms: number): void {
      now += ms
    },
    /** Moves on to the next event and runs it; false: there is none before `until`. */
    next(until = Number.POSITIVE_INFINITY): boolean {
      while (heap.length > 0 && heap[0]!.step === undefined) pop()
      if (heap.length === 0 || heap[0]!.at > until) return false
      const { at, step } = pop()!
      now = Math.max(now, at)
      step!()
      return true
    },
  }
}

/** Resolves when all that can run without time has run: microtasks, and the promises that they resolve. */
export const settled = (): Promise<void> => new Promise((resolve) => process.nextTick(resolve))
