// What replicas remember together, on a real nats-server of each generation and in memory.

import { connect } from 'nats'
import { describe, expect, it } from 'vitest'
import {
  createKvStore,
  createMemoryState,
  createMemoryStore,
  openKvState,
  type State,
  type Store,
} from '../../../src/respond/engine/state.ts'
import { withJetStream } from '../../support/consuming.ts'
import { askJetStream, startNats } from '../../support/nats.ts'
import { tempDir } from '../../support/temp.ts'

const NEW = process.env.NATS_SERVER_NEW
if (NEW === undefined)
  console.warn('skipped: the state on a newer nats-server, since NATS_SERVER_NEW names none')

/** Two of them, as two replicas have them. */
async function withStates(program: string, act: (one: State, two: State) => Promise<void>) {
  using dir = tempDir()
  await using server = await startNats(`jetstream { store_dir: "${dir.path}" }`, { program })
  await using first = await connect({ servers: server.url })
  await using second = await connect({ servers: server.url })
  await act(openKvState(first, 'STATE'), openKvState(second, 'STATE'))
  const { config } = await askJetStream(server.url, 'STREAM.INFO.KV_STATE')
  expect(config).toMatchObject({ storage: 'file', max_age: 24 * 3600 * 1e9 })
}

const KINDS: [
  string,
  ((act: (one: State, two: State) => Promise<void>) => Promise<void>) | false,
][] = [
  [
    'memory',
    async (act) => {
      const state = createMemoryState()
      await act(state, state)
    },
  ],
  ['nats-server 2.9', (act) => withStates('nats-server', act)],
  ['a newer nats-server', NEW !== undefined && ((act) => withStates(NEW, act))],
]

describe.each(KINDS)('state in %s', (_name, withBoth) => {
  const test = it.skipIf(withBoth === false)

  test('remembers what is done, by playbook, alert and step', () =>
    (withBoth as Exclude<typeof withBoth, false>)(async (one, two) => {
      expect(await one.isDone('p', 'id', 0)).toBe(false)
      await one.markDone('p', 'id', 0)
      await two.markDone('p', 'id', 0)
      expect(await two.isDone('p', 'id', 0)).toBe(true)
      expect(await two.isDone('p', 'id', 1)).toBe(false)
      expect(await two.isDone('q', 'id', 0)).toBe(false)
      expect(await two.isDone('p', 'other $.> *', 0)).toBe(false)
    }))

  test('lets another alert act where the first has not', () =>
    (withBoth as Exclude<typeof withBoth, false>)(async (one, two) => {
      expect(await one.coolDown('p', 'pod a/b', 60_000, 'first')).toBe(true)
      await two.release('p', 'pod a/b', 'second')
      expect(await two.coolDown('p', 'pod a/b', 60_000, 'second')).toBe(false)
      await one.release('p', 'pod a/b', 'first')
      expect(await two.coolDown('p', 'pod a/b', 60_000, 'second')).toBe(true)
      expect(await one.coolDown('p', 'pod a/b', 60_000, 'first')).toBe(false)
    }))

  test('lets one alert of many act on a target, and that one again', () =>
    (withBoth as Exclude<typeof withBoth, false>)(async (one, two) => {
      const ids = Array.from({ length: 12 }, (_, n) => `id${n}`)
      const may = await Promise.all(
        ids.map((id, n) => (n % 2 ? one : two).coolDown('p', 'pod a/b', 60_000, id)),
      )
      expect(may.filter(Boolean)).toHaveLength(1)
      const winner = ids[may.indexOf(true)]!
      expect(await two.coolDown('p', 'pod a/b', 60_000, winner)).toBe(true)
      expect(await one.coolDown('p', 'pod a/b', 60_000, 'later')).toBe(false)
      expect(await one.coolDown('p', 'pod a/c', 60_000, 'later')).toBe(true)
      expect(await one.coolDown('q', 'pod a/b', 60_000, 'later')).toBe(true)
      // Long enough ago, for so short a time.
      expect(await one.coolDown('p', 'pod a/b', 0, 'later')).toBe(true)
    }))

  test('gives room for no more actions than the limit, however many ask at once', () =>
    (withBoth as Exclude<typeof withBoth, false>)(async (one, two) => {
      const waits = await Promise.all(
        Array.from({ length: 40 }, (_, n) => (n % 2 ? one : two).takeAction(25)),
      )
      expect(waits.filter((ms) => ms === 0)).toHaveLength(25)
      for (const ms of waits.filter((ms) => ms > 0)) {
        expect(ms).toBeGreaterThan(50_000)
        expect(ms).toBeLessThanOrEqual(61_000)
      }
      expect(await one.takeAction(26)).toBe(0)
      expect(await two.takeAction(26)).toBeGreaterThan(0)
    }))
})

it('comes back when JetStream does', async () => {
  using dir = tempDir()
  await using server = await startNats(`jetstream { store_dir: "${dir.path}" }`)
  await using connection = await connect({ servers: server.url, reconnectTimeWait: 50 })
  const state = openKvState(connection, 'STATE')
  await state.markDone('p', 'id', 0)
  await server.stop()
  const asked = state.isDone('p', 'id', 0)
  await server.start()
  expect(await asked).toBe(true)
})

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
