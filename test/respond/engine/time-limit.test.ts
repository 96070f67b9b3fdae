import { setTimeout as delay } from 'node:timers/promises'
import { expect, it } from 'vitest'
import { within } from '../../../src/respond/engine/time-limit.ts'

const abandon = () => new AbortController()

it('gives what came in time, and passes on what failed', async () => {
  const { signal } = abandon()
  expect(await within(60_000, signal, async () => 'done')).toBe('done')
  await expect(within(60_000, signal, () => Promise.reject(new Error('oh')))).rejects.toThrow('oh')
})

it.each([
  ['heeds it with its own error', (signal: AbortSignal) => delay(60_000, '', { signal })],
  [
    'heeds it as if it were done',
    (signal: AbortSignal) =>
      new Promise<string>((resolve) => signal.addEventListener('abort', () => resolve('done'))),
  ],
  ['does not heed it', () => new Promise<string>(() => {})],
])('ends what takes too long with the same error where it %s', async (_how, act) => {
  await expect(within(20, abandon().signal, act)).rejects.toMatchObject({
    message: 'took longer than its timeout of 0.02 s',
    retryable: true,
  })
})

it('ends at once what is abandoned, then or before', async () => {
  const now = abandon()
  const begun = within(60_000, now.signal, () => new Promise(() => {}))
  now.abort()
  await expect(begun).rejects.toThrow('given up: asked to end at once')
  const acted = within(60_000, now.signal, (signal) => delay(60_000, '', { signal }))
  await expect(acted).rejects.toThrow('given up: asked to end at once')
})
