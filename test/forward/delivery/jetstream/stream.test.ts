// The stream on a real server: found, made once, and left alone.

import { connect } from 'nats'
import { expect, it } from 'vitest'
import {
  createStreamMaker,
  streamTaking,
} from '../../../../src/forward/delivery/jetstream/stream.ts'
import { parseServers } from '../../../../src/shared/nats/servers.ts'
import { askJetStream, createStream, startNats } from '../../../support/nats.ts'
import { recordingLog } from '../../../support/recording-log.ts'
import { environmentFor } from '../../../support/sessions.ts'
import { tempDir } from '../../../support/temp.ts'

const SETTINGS = { name: 'S', subject: 'falco.>', maxAgeMs: 60_000, duplicateWindowMs: 30_000 }

async function setUp(config = '', settings = SETTINGS) {
  await using stack = new AsyncDisposableStack()
  const dir = stack.use(tempDir())
  const jetstream = `jetstream { store_dir: "${dir.path}" ${config} }`
  const server = stack.use(await startNats(config === 'none' ? '' : jetstream))
  const { dial, makeStream } = environmentFor()
  const session = await dial(parseServers(server.url)[0]!, new AbortController().signal)
  stack.defer(() => session.close())
  const connection = stack.use(await connect({ servers: server.url }))
  const { log, lines } = recordingLog()
  const make = createStreamMaker(makeStream, settings, log)
  const rest = stack.move()
  return {
    url: server.url,
    session,
    connection,
    lines,
    make: () => make(session),
    [Symbol.asyncDispose]: () => rest.disposeAsync(),
  }
}

it('makes the stream once, and finds it by its subject', async () => {
  await using set = await setUp()
  expect(await streamTaking(set.connection, 'falco.a.b')).toBeUndefined()
  await set.make()
  await set.make()
  expect(set.lines).toMatchObject([{ msg: 'made the stream', stream: 'S', subject: 'falco.>' }])
  expect(await streamTaking(set.connection, 'falco.a.b')).toBe('S')
  expect((await askJetStream(set.url, 'STREAM.INFO.S')).config).toMatchObject({
    subjects: ['falco.>'],
    storage: 'file',
    retention: 'limits',
    discard: 'old',
    max_age: 60e9,
    duplicate_window: 30e9,
  })
})

it('leaves a stream of that name alone, whatever it is', async () => {
  await using set = await setUp('', { ...SETTINGS, name: 'ALERTS' })
  await createStream(set.url, { subjects: ['other.>'], max_age: 1e12 })
  await set.make()
  expect(set.lines).toEqual([])
  expect((await askJetStream(set.url, 'STREAM.INFO.ALERTS')).config).toMatchObject({
    subjects: ['other.>'],
    max_age: 1e12,
  })
})

it('logs once why it cannot, and again after it could', async () => {
  await using set = await setUp()
  await createStream(set.url)
  await set.make()
  await set.make()
  expect(set.lines).toMatchObject([
    { trouble: 'refused', reason: 'subjects overlap with an existing stream' },
  ])
  await askJetStream(set.url, 'STREAM.DELETE.ALERTS')
  await set.make()
  await askJetStream(set.url, 'STREAM.DELETE.S')
  await createStream(set.url)
  await set.make()
  expect(set.lines.map(({ msg }) => msg)).toEqual([
    'cannot make the stream, will keep trying',
    'made the stream',
    'cannot make the stream, will keep trying',
  ])
})

it('rejects where streams cannot be asked for, and only logs when it is to make one', async () => {
  await using set = await setUp('none')
  await expect(streamTaking(set.connection, 'falco.a')).rejects.toThrow()
  await set.make()
  expect(set.lines).toMatchObject([{ msg: 'cannot make the stream, will keep trying' }])
})

it('logs nothing once the session is over', async () => {
  await using set = await setUp()
  set.session.close()
  await set.session.closed
  await set.make()
  expect(set.lines).toEqual([])
})
