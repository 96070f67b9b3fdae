import { describe, expect, it } from 'vitest'
import { createCounters } from '../../../src/forward/accounting/counters.ts'
import { createCoalescing } from '../../../src/forward/delivery/coalescing.ts'
import { createCoreNats } from '../../../src/forward/delivery/core-nats.ts'
import { createBatchPool } from '../../../src/forward/encoding/batch.ts'
import { createEncoder } from '../../../src/forward/encoding/encoder.ts'
import { createNotifier, type Notifier } from '../../../src/shared/notifier.ts'
import { createVirtualTime, settled } from '../../simulation/virtual-clock.ts'
import { numberedAlert } from '../../support/fixtures.ts'
import { startNats, subscribe } from '../../support/nats.ts'
import { dial } from '../../support/sessions.ts'

function setUp() {
  const counters = createCounters()
  const stateChanged = createNotifier()
  const time = createVirtualTime()
  const clock = time.clockFor()
  const { writePartial } = createCoreNats(clock)
  const coalescing = createCoalescing(writePartial, { counters, stateChanged, clock })
  const encoder = createEncoder(() => 'falco.test')
  const batch = createBatchPool(256 * 1024).borrow()
  let n = 0
  const add = (count: number) => {
    while (count-- > 0) encoder.addLines(batch, Buffer.from(`${numberedAlert(n++)}\n`))
  }
  return { counters, stateChanged, time, coalescing, batch, add }
}

/** Returns whether it has been notified since. */
function noticeOf(notifier: Notifier): () => boolean {
  let isNotified = false
  notifier.wait().then(() => {
    isNotified = true
  })
  return () => isNotified
}

it('keeps a batch open for a moment after the one before it, and writes what is new in it', async () => {
  await using server = await startNats()
  await using subscriber = await subscribe(server.url)
  const { coalescing, stateChanged, time, batch, add, counters } = setUp()
  await using session = await dial(server.url)
  add(1)
  // Long after the last batch: it is taken whole.
  time.at(30, () => {})
  time.next()
  expect(coalescing.write(session, batch)).toBe(false)
  expect(coalescing.close(batch)).toBeUndefined()
  for (let writes = 0; writes < 3; writes++) {
    expect(coalescing.write(session, batch)).toBe(true)
    add(1)
  }
  expect(coalescing.isOpen()).toBe(true)
  const changed = stateChanged.wait()
  time.next()
  expect([coalescing.isOpen(), time.now()]).toEqual([false, 50])
  await changed
  expect(coalescing.close(batch)).toMatchObject({ batch, session, written: 3 })
  await subscriber.count(3)
  expect(counters.resent).toBe(0)
})

it('closes it with the last write before it would have to, and never after', async () => {
  await using server = await startNats()
  const { coalescing, stateChanged, time, batch, add } = setUp()
  await using session = await dial(server.url)
  const isNotified = noticeOf(stateChanged)
  coalescing.close(batch)
  const open: boolean[] = []
  for (let at = 5; at <= 20; at += 5) {
    time.at(at, () => {
      add(20)
      open.push(coalescing.write(session, batch))
    })
    time.next()
  }
  expect([open, coalescing.isOpen()]).toEqual([[true, true, false, false], false])
  expect(coalescing.close(batch)).toMatchObject({ written: 40 })
  expect([time.next(), isNotified()]).toEqual([false, false])
})

it('keeps it open for less where alerts come more than a few milliseconds apart', async () => {
  await using server = await startNats()
  const { coalescing, time, batch, add } = setUp()
  await using session = await dial(server.url)
  coalescing.close(batch)
  const open: boolean[] = []
  for (const at of [7, 14]) {
    time.at(at, () => {
      add(1)
      open.push(coalescing.write(session, batch))
    })
    while (time.next(at));
  }
  expect(open).toEqual([true, false])
})

it.each([2, 3, 4])(
  'closes it before its time is over, with a write every %i ms',
  async (pauseMs) => {
    await using server = await startNats()
    const { coalescing, stateChanged, time, batch, add } = setUp()
    await using session = await dial(server.url)
    const isNotified = noticeOf(stateChanged)
    coalescing.close(batch)
    const open: boolean[] = []
    while (open.at(-1) !== false && !isNotified()) {
      const at = time.now() + pauseMs
      time.at(at, () => {
        add(1)
        open.push(coalescing.write(session, batch))
      })
      while (time.next(at));
      await settled()
    }
    // No timer has to close it.
    expect(isNotified()).toBe(false)
    expect(open.length).toBeGreaterThan(1)
  },
)

describe('after a pause', () => {
  const KIB = 1024
  /** Writes as many KiB more after so many milliseconds. */
  async function writing(...steps: { ms: number; kib: number }[]) {
    await using server = await startNats()
    const { coalescing, time, batch, add } = setUp()
    await using session = await dial(server.url)
    coalescing.close(batch)
    return steps.map(({ ms, kib }) => {
      for (const end = batch.used + kib * KIB; batch.used < end; ) add(1)
      time.block(ms)
      return coalescing.write(session, batch)
    })
  }

  it('keeps one open with more in it', async () => {
    const steps = [
      { ms: 2, kib: 20 },
      { ms: 2, kib: 20 },
    ]
    expect(await writing(...steps)).toEqual([true, true])
  })

  it.each([
    ['much', { ms: 2, kib: 50 }],
    ['as much without one', { ms: 0, kib: 20 }],
  ])('does not with %s at once', async (_, step) => {
    expect(await writing(step)).toEqual([false])
  })

  it('does not with much in all, written without one', async () => {
    const steps = [
      { ms: 2, kib: 30 },
      { ms: 0, kib: 4 },
    ]
    expect(await writing(...steps)).toEqual([true, false])
  })
})

it('does not keep one open without a session, or when much is read', async () => {
  await using server = await startNats()
  const { coalescing, batch, add } = setUp()
  await using session = await dial(server.url)
  coalescing.close(batch)
  add(1)
  expect(coalescing.write(undefined, batch)).toBe(false)
  add(100)
  coalescing.close(batch)
  expect(coalescing.write(session, batch)).toBe(false)
  expect(coalescing.isOpen()).toBe(false)
})

it('leaves a batch alone until the one before it is closed', async () => {
  await using server = await startNats()
  const { coalescing, batch, add } = setUp()
  await using session = await dial(server.url)
  coalescing.close(batch)
  add(1)
  expect(coalescing.write(session, batch)).toBe(true)
  const next = { ...batch }
  expect(coalescing.write(session, next)).toBe(false)
  expect(coalescing.close(next)).toBeUndefined()
  expect(coalescing.close(batch)).toMatchObject({ written: 1 })
  expect(coalescing.write(session, next)).toBe(true)
})

it('writes all of it to another session, and counts that as resent', async () => {
  await using server = await startNats()
  await using subscriber = await subscribe(server.url)
  const { coalescing, batch, add, counters } = setUp()
  await using first = await dial(server.url)
  await using second = await dial(server.url)
  coalescing.close(batch)
  add(2)
  expect(coalescing.write(first, batch)).toBe(true)
  add(1)
  expect(coalescing.write(second, batch)).toBe(true)
  await subscriber.count(5)
  expect(counters.resent).toBe(2)
  expect(coalescing.close(batch)).toMatchObject({ session: second, written: 3 })
})
