// Which stream has the alerts, on a real nats-server.

import { connect } from 'nats'
import { expect, it } from 'vitest'
import { streamFor } from '../../../src/respond/intake/stream.ts'
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
