import { expect, it } from 'vitest'
import { backoff, sleep } from '../../src/shared/backoff.ts'

it.each([
  ['doubles to five seconds', {}, [100, 200, 400, 5_000]],
  ['grows as it is asked to', { factor: 4, maxMs: 60_000 }, [100, 400, 1_600, 60_000]],
])('%s', (_how, options, longest) => {
  for (const [index, attempt] of [1, 2, 3, 1000].entries())
    for (let n = 0; n < 100; n++) {
      const ms = backoff(attempt, 100, options)
      expect(ms).toBeLessThanOrEqual(longest[index]!)
      expect(ms).toBeGreaterThan(longest[index]! / 2)
    }
})

it('leaves as much to chance as it is asked to', () => {
  expect(backoff(3, 100, { jitter: 0 })).toBe(400)
})

it('sleeps until it is time, or until the signal aborts', async () => {
  const stop = new AbortController()
  await sleep(1, stop.signal)
  const sleeping = sleep(60_000, stop.signal)
  stop.abort()
  await sleeping
  await sleep(60_000, stop.signal)
})
