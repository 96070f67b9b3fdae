// What is kept on NATS, on a real nats-server.

import { Objm } from '@nats-io/obj'
import { connect } from 'nats'
import { expect, it } from 'vitest'
import type { Mode } from '../../../src/respond/intake/mode.ts'
import { openBucket, openState } from '../../../src/respond/intake/storage.ts'
import { withJetStream } from '../../support/consuming.ts'
import { planOf } from '../../support/engine.ts'
import { askJetStream } from '../../support/nats.ts'

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
