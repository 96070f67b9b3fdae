// Which stream has the alerts, JetStream or core NATS for each playbook, and what is kept on NATS; on a real nats-server.

import { Objm } from '@nats-io/obj'
import { connect } from 'nats'
import { pino } from 'pino'
import { expect, it } from 'vitest'
import {
  chooseModes,
  type Mode,
  openBucket,
  openState,
  replicasOf,
  streamFor,
} from '../../../src/respond/intake/stream.ts'
import { withJetStream } from '../../support/consuming.ts'
import { planOf, playbookOf } from '../../support/engine.ts'
import { askJetStream, createStream, startNats } from '../../support/nats.ts'
import { tempDir } from '../../support/temp.ts'
import { until } from '../../support/wait.ts'

it('takes no stream that has only a part of the alerts when others have the rest', async () => {
  using dir = tempDir()
  await using server = await startNats(`jetstream { store_dir: "${dir.path}" }`)
  const make = (name: string, ...subjects: string[]) =>
    askJetStream(server.url, `STREAM.CREATE.${name}`, { name, subjects })
  await make('A', 'falco.critical.>')
  await using connection = await connect({ servers: server.url })
  expect(await streamFor(connection, ['falco.>'])).toBe('A')
  await make('B', 'falco.dead_letter.>', 'falco.response.>')
  await make('C', 'falco.notice.>', 'audit.>')
  expect(await streamFor(connection, ['falco.>'])).toBeUndefined()
  expect(await streamFor(connection, ['falco.*.my_rule', 'falco.notice.x'])).toBe('C')
  expect(await streamFor(connection, ['falco.dead_letter.x'])).toBe('B')
  await askJetStream(server.url, 'STREAM.DELETE.A')
  expect(await streamFor(connection, ['falco.>'])).toBe('C')
})

it('prefers the stream that takes all, and knows its copies', async () => {
  using dir = tempDir()
  await using server = await startNats(`jetstream { store_dir: "${dir.path}" }`)
  await using connection = await connect({ servers: server.url })
  expect(await streamFor(connection, ['falco.>'])).toBeUndefined()
  const make = (name: string, ...subjects: string[]) =>
    askJetStream(server.url, `STREAM.CREATE.${name}`, { name, subjects })
  await make('KV_x', 'falco.kv')
  expect(await streamFor(connection, ['falco.kv'])).toBeUndefined()
  await make('A', 'falco.a')
  await make('B', 'falco.b.>')
  expect(await streamFor(connection, ['falco.b.c'])).toBe('B')
  expect(await streamFor(connection, ['falco.a', 'falco.b.c'])).toBeUndefined()
  expect(await replicasOf(connection, 'A')).toBe(1)
  expect(await replicasOf(connection, 'none')).toBe(1)
})

const PLAN = planOf([
  playbookOf([], { name: 'one' }),
  playbookOf([], { name: 'two', on: ['audit.>'] }),
])

async function open(url: string, options: { core?: boolean; stream?: string } = {}) {
  const connection = await connect({ servers: url, reconnectTimeWait: 50, timeout: 500 })
  const lines: Record<string, unknown>[] = []
  const log = pino({}, { write: (line) => void lines.push(JSON.parse(line)) })
  const stop = new AbortController()
  const wanted = { core: false, stream: undefined, ...options }
  return {
    choosing: chooseModes(connection, PLAN, wanted, log, stop.signal),
    lines,
    stop,
    [Symbol.asyncDispose]: () => connection.close(),
  }
}

it('takes the stream that has the subjects, else core NATS, and warns of that', () =>
  withJetStream(async ({ url }) => {
    await using opened = await open(url)
    const why = expect.stringMatching(
      /^no stream takes all of audit\.>: make one \(nats stream add/,
    )
    expect(await opened.choosing).toEqual([
      { kind: 'jetstream', stream: 'ALERTS' },
      { kind: 'core', why },
    ])
    const msg = expect.stringMatching(/^core NATS: /)
    expect(opened.lines).toMatchObject([{ level: 40, playbook: 'two', why, msg }])
  }))

it('asks no server what the options say', async () => {
  await using server = await startNats()
  await using core = await open(server.url, { core: true })
  const mode = { kind: 'core', why: '--core was given' }
  expect(await core.choosing).toEqual([mode, mode])
  await using named = await open(server.url, { stream: 'S' })
  const { choosing, lines } = named
  expect(await choosing).toEqual(Array(2).fill({ kind: 'jetstream', stream: 'S' }))
  expect(lines).toEqual([])
})

it('knows a server that has no JetStream', async () => {
  await using server = await startNats()
  await using opened = await open(server.url)
  const mode = { kind: 'core', why: 'this NATS account has no JetStream: have it enabled' }
  expect(await opened.choosing).toEqual([mode, mode])
})

it('asks again while JetStream does not answer, until a stop', () =>
  withJetStream(
    async (server) => {
      await createStream(server.url, { subjects: ['falco.>', 'audit.>'] })
      server.freeze()
      server.thaw()
      await using opened = await open(server.url)
      server.freeze()
      await until('it has failed', () => opened.lines.length > 0)
      expect(opened.lines[0]).toMatchObject({
        playbook: 'one',
        msg: 'cannot ask JetStream, will keep trying',
      })
      server.thaw()
      expect(await opened.choosing).toHaveLength(2)
      opened.stop.abort()
    },
    { stream: false },
  ))

const CORE: Mode = { kind: 'core', why: 'test' }
const JETSTREAM: Mode = { kind: 'jetstream', stream: 'ALERTS' }

it.each([
  ['shared by replicas with JetStream', false, [CORE, JETSTREAM], true],
  ['in memory without', false, [CORE], false],
  ['in memory in a dry run', true, [JETSTREAM], false],
])('remembers %s', (_where, dryRun, modes, isShared) =>
  withJetStream(async ({ url }) => {
    await using connection = await connect({ servers: url })
    const state = await openState(connection, planOf([], { dryRun }), 'prefix', modes)
    await state.markDone('p', 'id', 0)
    expect(await state.isDone('p', 'id', 0)).toBe(true)
    const asked = askJetStream(url, 'STREAM.INFO.KV_prefix-respond')
    if (isShared) expect((await asked).config).toMatchObject({ num_replicas: 1 })
    else await expect(asked).rejects.toThrow('stream not found')
  }),
)

it('keeps what steps capture in an object store', () =>
  withJetStream(async ({ url }) => {
    await using connection = await connect({ servers: url })
    const bytes = Buffer.alloc(300_000, 'log')
    for (const name of ['a', 'b']) await (await openBucket(connection, 'LOGS')).put(name, bytes)
    const store = await new Objm(connection).open('LOGS')
    expect(Buffer.from((await store.getBlob('a'))!)).toEqual(bytes)
    expect((await store.list()).map(({ name }) => name)).toEqual(['a', 'b'])
  }))
