import { constants, PerformanceObserver } from 'node:perf_hooks'
import { afterEach, beforeEach, expect, it, vi } from 'vitest'
import { createCounters } from '../../src/forward/accounting/counters.ts'
import { collectAll, keepTrim } from '../../src/forward/memory-trim.ts'
import { until } from '../support/wait.ts'

beforeEach(() => void vi.useFakeTimers({ toFake: ['setInterval', 'clearInterval'] }))
afterEach(() => void vi.useRealTimers())

it('collects once after the start, and then only after much, when it is quiet', () => {
  const collect = vi.fn()
  const counters = createCounters()
  const trim = keepTrim(counters, collect)
  vi.advanceTimersByTime(1_000)
  expect(collect).toHaveBeenCalledTimes(1)
  vi.advanceTimersByTime(10_000)
  for (let second = 0; second < 5; second++) {
    counters.bytesRead += 8 * 1024 * 1024
    vi.advanceTimersByTime(1_000)
  }
  expect(collect).toHaveBeenCalledTimes(1)
  vi.advanceTimersByTime(10_000)
  expect(collect).toHaveBeenCalledTimes(2)
  counters.bytesRead += 8 * 1024 * 1024
  vi.advanceTimersByTime(1_000)
  trim[Symbol.dispose]()
  vi.advanceTimersByTime(10_000)
  expect(collect).toHaveBeenCalledTimes(2)
})

it('collects all there is to collect', async () => {
  const flags: number[] = []
  const collections = new PerformanceObserver((list) => {
    for (const entry of list.getEntries())
      flags.push((entry as unknown as { detail: { flags: number } }).detail.flags)
  })
  collections.observe({ entryTypes: ['gc'] })
  collectAll()
  const ALL = constants.NODE_PERFORMANCE_GC_FLAGS_ALL_AVAILABLE_GARBAGE
  await until('it is heard of', () => flags.includes(ALL))
  expect(flags).toContain(ALL)
  collections.disconnect()
})
