import { expect, it } from 'vitest'
import { systemClock as clock } from '../../src/shared/clock.ts'

it('goes on, and knows the date', async () => {
  const [before, date] = [clock.now(), Date.now()]
  await clock.delay(20)
  expect(clock.now() - before).toBeGreaterThan(15)
  expect(clock.date() - date).toBeGreaterThan(10)
})

it('calls once, or again and again, until it is told not to', async () => {
  const calls: string[] = []
  clock.after(1, () => calls.push('once'))
  clock.after(1, () => calls.push('never'))[Symbol.dispose]()
  {
    using _ = clock.every(5, () => calls.push('again'))
    while (calls.length < 4) await clock.delay(1)
  }
  await clock.delay(20)
  expect(calls).toEqual(['once', 'again', 'again', 'again'])
})

it('waits until it is time, or rejects when the signal aborts, before or meanwhile', async () => {
  const stop = new AbortController()
  await clock.delay(1, stop.signal)
  const waiting = clock.delay(60_000, stop.signal)
  stop.abort()
  await expect(waiting).rejects.toThrow(/abort/)
  await expect(clock.delay(60_000, stop.signal)).rejects.toThrow(/abort/)
})

it('aborts a signal in time', async () => {
  const late = clock.timeout(5)
  expect(late.aborted).toBe(false)
  await expect(clock.delay(60_000, late)).rejects.toThrow()
  expect(late.reason).toMatchObject({ name: 'TimeoutError' })
})

it('lets the event loop look for what has arrived', async () => {
  let hasTurned = false
  setImmediate(() => {
    hasTurned = true
  })
  await clock.afterPoll()
  expect(hasTurned).toBe(true)
})
