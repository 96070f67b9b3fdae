// Sessions of JetStream with the simulated server, fault after fault.

import { expect, it } from 'vitest'
import { readAnswer } from '../../../src/forward/delivery/jetstream/acks.ts'
import type { Session } from '../../../src/forward/delivery/session.ts'
import { alertLine, JETSTREAM, publicationOf, setUp as setUpServer } from './fixture.ts'
import { JETSTREAM_FAULTS } from './jetstream-faults.ts'
import { matches } from './stream.ts'

const SETTINGS = { name: 'FALCO', subject: 'falco.>', maxAgeMs: 0, duplicateWindowMs: 120_000 }

/** With the answers that come in, as `alert answer`. */
function setUp(options = JETSTREAM, seed = 1) {
  const set = setUpServer(options, seed)
  const answers: string[] = []
  const { server, facts } = set
  return {
    ...set,
    answers,
    async open(life = set.startLife()): Promise<Session> {
      const session = await set.open(life)
      session.answers((token, data) => {
        const answer = readAnswer(data)
        answers.push(`${token} ${typeof answer === 'string' ? answer : answer.trouble}`)
      })
      return session
    },
    strike(kind: string, parameters: Record<string, number | string | boolean>): void {
      JETSTREAM_FAULTS[kind]!.strike(server, parameters)
    },
    numbers: () => facts.stored.map(({ number }) => number),
  }
}

const publish = (session: Session, ...numbers: number[]) =>
  session.write(
    Buffer.concat(
      numbers.map((number) =>
        publicationOf(alertLine(number), `${session.inbox}.${number}`, { id: `id-${number}` }),
      ),
    ),
  )

it('stores and acknowledges in order', async () => {
  const { open, pass, facts, answers, violations } = setUp()
  const session = await open()
  publish(session, 1, 2, 3)
  await pass(1000)
  expect(answers).toEqual(['1 stored', '2 stored', '3 stored'])
  expect(facts.stored.map(({ number, id, sequence }) => [number, id, sequence])).toEqual([
    [1, 'id-1', 1],
    [2, 'id-2', 2],
    [3, 'id-3', 3],
  ])
  expect([...facts.confirmed]).toEqual([1, 2, 3])
  expect(facts.sessions[0]!.unanswered.size).toBe(0)
  expect(violations).toEqual([])
})

it('knows an id within its window, over sessions and a crash, and no longer', async () => {
  const { open, pass, numbers, answers, server } = setUp()
  publish(await open(), 1)
  await pass(1000)
  server.cluster.crash(server.cluster.machines[0]!, 1000, false)
  await pass(2000)
  publish(await open(), 1)
  await pass(117_000)
  publish(await open(), 1)
  await pass(10_000)
  expect(answers).toEqual(['1 stored', '1 duplicate', '1 stored'])
  expect(numbers()).toEqual([1, 1])
})

it('finds two alerts with one id, and a publication without', async () => {
  const { open, pass, violations } = setUp()
  const session = await open()
  for (const number of [1, 2])
    session.write(publicationOf(alertLine(number), `${session.inbox}.${number}`, { id: 'same' }))
  session.write(Buffer.from('PUB falco.a 1\r\nx\r\n'))
  await pass(1000)
  expect(violations).toEqual([
    expect.stringContaining('message id'),
    expect.stringContaining('protocol'),
  ])
})

it('has no responders without a stream for the subject', async () => {
  for (const stream of [
    { ...JETSTREAM.stream, exists: false },
    { ...JETSTREAM.stream, subjects: ['falco.notice.*'] },
  ]) {
    const { open, pass, answers } = setUp({ ...JETSTREAM, stream })
    publish(await open(), 1)
    await pass(1000)
    expect(answers).toEqual(['1 no_responders'])
  }
})

it('is full, except for what it knows, and refuses what is too large for good', async () => {
  const stream = { ...JETSTREAM.stream, maxMsgs: 1, maxMsgSize: 300 }
  const { open, pass, answers, facts, server } = setUp({ ...JETSTREAM, stream })
  const session = await open()
  publish(session, 1, 2, 1)
  session.write(publicationOf(alertLine(3, { length: 290 }), `${session.inbox}.3`))
  await pass(1000)
  expect(answers).toEqual(['1 stored', '2 stream_full', '1 duplicate', '3 too_large'])
  expect([...facts.refusedNumbers]).toEqual([3])
  expect(server.isWell()).toBe(false)
  server.heal()
  publish(session, 2)
  await pass(1000)
  expect(answers.at(-1)).toBe('2 stored')
})

it('allows only the stream that is expected', async () => {
  const { open, pass, answers, strike } = setUp()
  const session = await open()
  const expecting = (expected: string) =>
    session.write(publicationOf(alertLine(1), `${session.inbox}.1`, { expected }))
  expecting('OTHER')
  await pass(100)
  strike('wrongStream', { ms: 500 })
  expecting('FALCO')
  await pass(1000)
  expecting('FALCO')
  await pass(100)
  expect(answers).toEqual(['1 wrong_stream', '1 wrong_stream', '1 stored'])
})

it.each([
  ['full', { onceIn: 1, code: 10077, text: 'maximum bytes exceeded' }, 'stream_full'],
  ['outOfStorage', { onceIn: 1, code: 10023 }, 'out_of_storage'],
  ['outOfStorage', { onceIn: 1, code: 10077, text: 'no space left on device' }, 'out_of_storage'],
  ['tooManyRequests', { onceIn: 1, code: 10167 }, 'busy'],
  ['unavailable', { onceIn: 1, code: 10008 }, 'unavailable'],
  ['refused', { onceIn: 1, code: 19999, text: 'something new' }, 'refused'],
  ['off', {}, 'no_responders'],
  ['smallMessages', { bytes: 150 }, 'too_large'],
  ['leaderChange', { how: 'no responders' }, 'no_responders'],
  ['leaderChange', { how: 'unavailable' }, 'unavailable'],
  ['deleteStream', {}, 'no_responders'],
])('answers for a while at %s %j: %s', async (kind, parameters, trouble) => {
  const { open, pass, answers, strike, numbers } = setUp()
  const session = await open()
  strike(kind, { ms: 1000, ...parameters })
  publish(session, 1)
  await pass(2000)
  publish(session, 1)
  await pass(2000)
  expect(answers).toEqual([`1 ${trouble}`, '1 stored'])
  expect(numbers()).toEqual([1])
})

it('loses, delays, doubles and shuffles acknowledgements', async () => {
  const seen = async (kind: string, parameters: Record<string, number>) => {
    const { open, pass, answers, strike, facts } = setUp()
    const session = await open()
    strike(kind, { ms: 100_000, ...parameters })
    publish(session, 1, 2, 3, 4, 5)
    await pass(3000)
    const early = answers.length
    await pass(10_000)
    expect(facts.stored).toHaveLength(5)
    expect(facts.sessions[0]!.unanswered.size).toBe(5 - new Set(answers).size)
    return { early, answers }
  }
  expect(await seen('acksLost', { onceIn: 1 })).toEqual({ early: 0, answers: [] })
  const late = await seen('acksLate', { by: 5000 })
  expect([late.early, late.answers.length]).toEqual([0, 5])
  expect((await seen('acksDouble', { onceIn: 1 })).answers).toHaveLength(10)
  const { answers } = await seen('acksShuffled', { within: 2000 })
  expect(answers).toHaveLength(5)
  expect(answers).not.toEqual([...answers].sort())
})

it('queues an id again while it is stored slowly, or refuses it', async () => {
  for (const [clustered, expected] of [
    [false, ['1 stored', '1 duplicate']],
    [true, ['1 busy', '1 stored']],
  ] as const) {
    const { open, pass, answers, strike, numbers } = setUp()
    const session = await open()
    strike('slowStore', { ms: 3000, clustered })
    publish(session, 1)
    await pass(1000)
    publish(session, 1)
    await pass(5000)
    expect(answers).toEqual(expected)
    expect(numbers()).toEqual([1])
  }
})

it('loses what was not acknowledged when the leader changes, or stores it in silence', async () => {
  const kept = new Set<string>()
  for (let seed = 0; seed < 40; seed++) {
    const { open, pass, answers, strike, numbers } = setUp(JETSTREAM, seed)
    const session = await open()
    strike('slowStore', { ms: 500, clustered: false })
    publish(session, 1, 2)
    await pass(400)
    strike('leaderChange', { ms: 2000, how: 'no answer' })
    publish(session, 3)
    await pass(5000)
    expect(answers).toEqual([])
    expect([1, 2].slice(0, numbers().length)).toEqual(numbers())
    kept.add(numbers().join())
  }
  expect(kept).toEqual(new Set(['', '1', '1,2']))
})

it('forgets the ids of a stream that is deleted', async () => {
  const { open, pass, strike, facts } = setUp()
  const session = await open()
  publish(session, 1)
  await pass(1000)
  strike('deleteStream', { ms: 1000 })
  await pass(2000)
  publish(session, 1)
  await pass(1000)
  expect(facts.stored.map(({ number, stream }) => [number, stream])).toEqual([
    [1, 1],
    [1, 2],
  ])
})

it('delivers no answer of a session that is over', async () => {
  const { open, pass, answers, facts } = setUp()
  const session = await open()
  publish(session, 1)
  await pass(1)
  session.close()
  await pass(1000)
  expect(answers).toEqual([])
  expect(facts.confirmed.size).toBe(0)
})

it('makes the stream that is missing, once', async () => {
  const stream = { ...JETSTREAM.stream, exists: false, subjects: [] }
  const { open, pass, server, startLife, answers } = setUp({ ...JETSTREAM, stream }, 2)
  const life = startLife()
  const session = await open(life)
  const made: boolean[] = []
  for (let times = 0; times < 2; times++) {
    void server
      .makeStream(life)(session, SETTINGS)
      .then((isMade) => made.push(isMade))
    await pass(5000)
  }
  expect(made).toEqual([true, false])
  publish(session, 1)
  await pass(1000)
  expect(answers).toEqual(['1 stored'])
})

it('refuses to make it, and does not answer over a session that is frozen or over', async () => {
  const stream = { ...JETSTREAM.stream, exists: false }
  const { open, pass, server, startLife, strike } = setUp({ ...JETSTREAM, stream })
  const life = startLife()
  const session = await open(life)
  const reasons: string[] = []
  const make = () =>
    void server
      .makeStream(life)(session, SETTINGS)
      .catch(({ message }) => reasons.push(message))
  strike('refuseStreams', { ms: 6000, code: 10023 })
  make()
  await pass(6000)
  server.cluster.freeze(server.cluster.machines[0]!, 6000)
  make()
  await pass(6000)
  make()
  session.close()
  await pass(6000)
  expect(reasons).toEqual(['insufficient resources', 'timeout', 'closed connection'])
})

it('is well once it is healed, whatever struck', async () => {
  const { server, open, pass, answers, world, strike } = setUp()
  const random = world.random('faults')
  for (let strikes = 0; strikes < 20; strikes++)
    for (const [kind, { draw }] of Object.entries(JETSTREAM_FAULTS)) strike(kind, draw(random))
  await pass(10)
  server.heal()
  expect(server.isWell()).toBe(true)
  const session = await open()
  publish(session, 1)
  await pass(1000)
  expect(answers).toEqual(['1 stored'])
})

it('matches subjects as NATS does', () => {
  expect(matches('falco.>', 'falco.a.b')).toBe(true)
  expect(matches('falco.>', 'falco')).toBe(false)
  expect(matches('falco.*', 'falco.a.b')).toBe(false)
  expect(matches('falco.*.b', 'falco.a.b')).toBe(true)
  expect(matches('>', 'falco')).toBe(true)
})
