// Which stream has the alerts, on a real nats-server.

import { connect } from 'nats'
import { expect, it } from 'vitest'
import { replicasOf, streamFor } from '../../../src/respond/intake/stream.ts'
import { askJetStream, startNats } from '../../support/nats.ts'
import { tempDir } from '../../support/temp.ts'

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
