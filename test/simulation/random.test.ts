import { expect, it } from 'vitest'
import { createRandom } from './random.ts'

const COUNT = 2000
const drawn = (seed: number, topic?: string) => {
  const random = createRandom(seed, topic)
  return Array.from({ length: COUNT }, () => random.below(1_000_000))
}

it('gives the same numbers for the same seed and topic', () => {
  expect(drawn(7)).toEqual(drawn(7))
  expect(drawn(7, 'disk')).toEqual(drawn(7, 'disk'))
})

it('gives other numbers for another seed, and for another topic', () => {
  const topics = ['', 'disk', 'server', 'alert 1', 'alert 2', 'alert 12']
  const streams = [7, 8, 9].flatMap((seed) => topics.map((topic) => drawn(seed, topic)))
  for (const [at, stream] of streams.entries())
    for (const other of streams.slice(0, at)) {
      const alike = stream.filter((number, n) => number === other[n])
      expect(alike.length).toBeLessThan(COUNT / 100)
    }
})

it('draws within its bounds, and reaches them', () => {
  const random = createRandom(1)
  const times = <T>(draw: () => T) => new Set(Array.from({ length: COUNT }, draw))
  expect([...times(() => random.below(3))].sort()).toEqual([0, 1, 2])
  expect([...times(() => random.between(2, 4))].sort()).toEqual([2, 3, 4])
  expect([...times(() => random.pick(['a', 'b']))].sort()).toEqual(['a', 'b'])
  const parts = [...times(random.part)]
  expect(Math.min(...parts)).toBeGreaterThanOrEqual(0)
  expect(Math.max(...parts)).toBeLessThan(1)
  expect(parts.reduce((sum, part) => sum + part) / parts.length).toBeCloseTo(0.5, 1)
})

it('is true once in so many times', () => {
  const random = createRandom(1)
  const hits = (times: number) =>
    Array.from({ length: COUNT }, () => random.onceIn(times)).filter(Boolean).length
  expect(hits(1)).toBe(COUNT)
  expect(hits(10)).toBeGreaterThan(COUNT / 15)
  expect(hits(10)).toBeLessThan(COUNT / 7)
})
