import { constants, PerformanceObserver } from 'node:perf_hooks'
import { afterEach, expect, it, vi } from 'vitest'
import { collectAll, trimHeap } from '../../src/forward/memory-trim.ts'
import { until } from '../support/wait.ts'

afterEach(() => void vi.useRealTimers())

it('collects once after the start', () => {
  vi.useFakeTimers({ toFake: ['setTimeout'] })
  const collect = vi.fn()
  trimHeap(collect)
  expect(collect).not.toHaveBeenCalled()
  vi.advanceTimersByTime(3_600_000)
  expect(collect).toHaveBeenCalledTimes(1)
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
