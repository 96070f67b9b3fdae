// Texts by key, in memory and in a bucket of a real nats-server.

import { connect } from 'nats'
import { expect, it } from 'vitest'
import {
  createKvStore,
  createMemoryStore,
  type Store,
} from '../../../src/respond/engine/state-store.ts'
import { withJetStream } from '../../support/consuming.ts'
import { startNats } from '../../support/nats.ts'

async function check(one: Store, two: Store): Promise<void> {
  expect(await one.read('a')).toBeUndefined()
  await one.update('a', (text) => `${text}`)
  expect(await two.read('a')).toBe('undefined')
  await two.update('a', () => undefined)
  expect(await one.read('a')).toBe('undefined')
  // However many write at once, none is overwritten.
  const add = (store: Store) => store.update('count', (text) => String(Number(text ?? 0) + 1))
  await Promise.all(Array.from({ length: 30 }, (_, n) => add(n % 2 ? one : two)))
  expect(await one.read('count')).toBe('30')
  await expect(
    one.update('a', () => {
      throw new Error('unreadable')
    }),
  ).rejects.toThrow('unreadable')
}

it('keeps texts in memory, and no more than a hundred thousand', async () => {
  const store = createMemoryStore()
  await check(store, store)
  for (let n = 0; n < 100_000; n++) await store.update(`key ${n}`, () => 'text')
  expect(await store.read('a')).toBeUndefined()
  expect(await store.read('key 0')).toBe('text')
  expect(await store.read('key 99999')).toBe('text')
})

it('keeps texts in a bucket that replicas share', () =>
  withJetStream(
    async ({ url }) => {
      await using first = await connect({ servers: url })
      await using second = await connect({ servers: url })
      await check(createKvStore(first, 'STATE', 1), createKvStore(second, 'STATE', 1))
    },
    { stream: false },
  ))

it('rejects after a few tries where there is no JetStream', async () => {
  await using server = await startNats()
  await using connection = await connect({ servers: server.url })
  await expect(createKvStore(connection, 'STATE', 1).read('a')).rejects.toThrow()
})
