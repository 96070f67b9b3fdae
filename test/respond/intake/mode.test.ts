// JetStream or core NATS, for each playbook, as a real nats-server answers.

import { connect } from 'nats'
import { pino } from 'pino'
import { expect, it } from 'vitest'
import { chooseModes } from '../../../src/respond/intake/mode.ts'
import { withJetStream } from '../../support/consuming.ts'
import { planOf, playbookOf } from '../../support/engine.ts'
import { createStream, startNats } from '../../support/nats.ts'
import { until } from '../../support/wait.ts'

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
