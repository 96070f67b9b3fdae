import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { createSlots, type Slot } from '../../../../src/forward/delivery/jetstream/slots.ts'

it('gives as many slots as there are, and no more until one is released', () => {
  const slots = createSlots<string>(2)
  const taken = [slots.take('a', 0), slots.take('a', 1)]
  expect(taken).toMatchObject([
    { delivery: 'a', alert: 0, state: 'sent' },
    { delivery: 'a', alert: 1, state: 'sent' },
  ])
  expect(slots.take('b', 0)).toBeUndefined()
  slots.release(taken[0]!)
  expect(taken[0]).toMatchObject({ delivery: undefined, state: 'free' })
  expect(slots.take('b', 0)).toBe(taken[0])
})

it('lets no alert get further ahead of one in flight than there are slots', () => {
  const slots = createSlots<string>(3)
  const [first, second] = [0, 1, 2].map((alert) => slots.take('a', alert)!)
  slots.release(second!)
  expect(slots.take('b', 0)).toBeUndefined()
  slots.release(first!)
  expect([slots.take('b', 0), slots.take('b', 1)]).toEqual([first, second])
})

it('knows a slot by the token of the alert that has it, and by no other', () => {
  const slots = createSlots<string>(2)
  const slot = slots.take('a', 0)!
  const { token } = slot
  expect(slots.byToken(token)).toBe(slot)
  for (const other of [token + 2, -1, 0.5, Number.NaN, Number.POSITIVE_INFINITY])
    expect(slots.byToken(other)).toBeUndefined()
  slots.release(slot)
  expect(slots.byToken(token)).toBeUndefined()
  for (const alert of [0, 1]) slots.take('b', alert)
  expect(slots.byToken(token)).toBeUndefined()
  expect(slots.byToken(slot.token)).toBe(slot)
})

it('waits for those that were published up to a number, unless they have failed', () => {
  const slots = createSlots<string>(4)
  const [first, second, third] = [0, 1, 2].map((alert) => slots.take('a', alert)!)
  // The fourth has a slot and is not published yet.
  slots.take('a', 3)
  first!.publication = 1
  second!.publication = 2
  third!.publication = 3
  expect(slots.waitingFor(2)).toEqual(expect.arrayContaining([first, second]))
  slots.fail(first!)
  expect(slots.waitingFor(2)).toEqual([second])
  slots.retry(first!)
  first!.publication = 4
  expect(slots.waitingFor(2)).toEqual([second])
  expect(slots.waitingFor(4)).toHaveLength(3)
})

describe('whatever comes in whatever order', () => {
  const commands = fc.array(
    fc.tuple(fc.constantFrom('take', 'fail', 'retry', 'release'), fc.nat(7)),
    { maxLength: 200 },
  )

  it('each alert has one slot, each token is new, and failures are counted and in order', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 8 }), commands, (max, steps) => {
        const slots = createSlots<number>(max)
        /** In the order in which they were taken. */
        const held: Slot<number>[] = []
        const tokens = new Set<number>()
        for (const [n, [command, pick]] of steps.entries()) {
          const slot = held[pick % held.length]
          if (command === 'take') {
            const taken = slots.take(n, pick)
            const oldest = Math.min(...held.map(({ token }) => token))
            expect(taken !== undefined).toBe(!(tokens.size - oldest >= max))
            if (taken === undefined) continue
            expect([held.includes(taken), tokens.has(taken.token)]).toEqual([false, false])
            tokens.add(taken.token)
            held.push(taken)
          } else if (slot === undefined) continue
          else if (command === 'release') {
            slots.release(slot)
            held.splice(held.indexOf(slot), 1)
          } else if (command === 'retry' ? slot.state === 'failed' : slot.state !== 'failed')
            slots[command as 'fail' | 'retry'](slot)
          const failed = held.filter(({ state }) => state === 'failed')
          expect(slots.failed()).toEqual(failed)
          expect(slots.failing()).toBe(
            failed.length + held.filter(({ state }) => state === 'again').length,
          )
          for (const each of held) expect(slots.byToken(each.token)).toBe(each)
        }
      }),
    )
  })
})
