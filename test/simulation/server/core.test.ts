// Sessions of core NATS with the simulated server, fault after fault.

import { expect, it } from 'vitest'
import type { Session } from '../../../src/forward/delivery/session.ts'
import { SERVER_FAULTS } from './faults.ts'
import { alertLine, messageOf, OPTIONS, setUp } from './fixture.ts'

const ON_ALL = { machine: -1 }

const numbersOf = ({ arrivals }: { arrivals: readonly { number: number | undefined }[] }) =>
  arrivals.map(({ number }) => number)

/** Whether a promise is settled, and how. */
function watch(promise: Promise<unknown>) {
  const seen = { state: 'pending', value: undefined as unknown }
  promise.then(
    (value) => Object.assign(seen, { state: 'done', value }),
    (error) => Object.assign(seen, { state: 'failed', value: error.message }),
  )
  return seen
}

const write = (session: Session, ...numbers: number[]) =>
  session.write(Buffer.concat(numbers.map((number) => messageOf(alertLine(number)))))

it('processes what is written in order, and confirms it', async () => {
  const { open, pass, facts, violations } = setUp()
  const session = await open()
  write(session, 1, 2)
  write(session, 3)
  const confirmed = watch(session.confirm())
  expect(session.proven).toBe(false)
  await pass(1000)
  expect(confirmed.state).toBe('done')
  expect(session.proven).toBe(true)
  expect(numbersOf(facts)).toEqual([1, 2, 3])
  expect(facts.arrivals[2]).toMatchObject({ line: alertLine(3), session: 1 })
  expect([...facts.confirmed]).toEqual([1, 2, 3])
  expect([...facts.answered]).toEqual([1, 2, 3])
  expect(violations).toEqual([])
})

it('keeps a quiet session for hours', async () => {
  const { open, pass } = setUp()
  const session = await open()
  const closed = watch(session.closed)
  await pass(3_600_000)
  expect(session.isClosed()).toBe(false)
  expect(closed.state).toBe('pending')
})

it('finds bytes that change before they have arrived, and before they are confirmed', async () => {
  for (const when of [0, 5]) {
    const { open, pass, violations } = setUp()
    const session = await open()
    const bytes = messageOf(alertLine(1))
    session.write(bytes)
    await pass(when)
    bytes[60] = 0
    void session.confirm()
    await pass(1000)
    expect(violations[0]).toContain('bytes changed')
  }
})

it('lets bytes change once they are confirmed, or once the session is closed', async () => {
  const { open, pass, violations, facts } = setUp()
  const session = await open()
  const bytes = messageOf(alertLine(1))
  session.write(bytes)
  const confirmed = watch(session.confirm())
  await pass(1000)
  expect(confirmed.state).toBe('done')
  bytes.fill(0)
  const more = messageOf(alertLine(2))
  session.write(more)
  session.close()
  more.fill(0)
  await pass(1000)
  expect(violations).toEqual([])
  expect(numbersOf(facts).slice(0, 1)).toEqual([1])
})

it('finds what is not the protocol, and what Falco did not write', async () => {
  const { open, pass, violations } = setUp({ ...OPTIONS, isLine: (line) => line === alertLine(1) })
  const session = await open()
  write(session, 1, 2)
  await pass(1000)
  expect(violations).toEqual([expect.stringContaining('payload')])
  session.write(Buffer.from('junk\r\n'))
  await pass(1000)
  expect(violations[1]).toContain('protocol')
})

it('denies subjects before the PONG, each message once', async () => {
  const { open, pass, facts } = setUp({ ...OPTIONS, denied: ['falco.notice.'] })
  const session = await open()
  for (const number of [1, 2]) session.write(messageOf(alertLine(number), 'falco.notice.rule_1'))
  write(session, 3)
  const confirmed = session.confirm().then(() => new Map(session.denied))
  await pass(1000)
  await confirmed
  expect(session.denied).toEqual(new Map([['falco.notice.rule_1', 2]]))
  expect([...facts.deniedNumbers]).toEqual([1, 2])
  expect(numbersOf(facts)).toEqual([3])
  expect([...facts.confirmed]).toEqual([3])
})

it('ends the connection at a message over max_payload, and processes what is before it', async () => {
  const { open, pass, facts } = setUp({ ...OPTIONS, maxPayload: 300 })
  const session = await open()
  expect(session.maxPayload).toBe(300)
  write(session, 1)
  session.write(messageOf(alertLine(2, { length: 301 })))
  write(session, 3)
  const closed = watch(session.closed)
  await pass(1000)
  expect(closed.value).toBe('Maximum Payload Violation')
  expect(numbersOf(facts)).toEqual([1])
})

it('changes max_payload for a while, and tells it or not', async () => {
  for (const informs of [true, false]) {
    const { open, pass, server, facts } = setUp()
    const session = await open()
    SERVER_FAULTS.maxPayload!.strike(server, { bytes: 500, ms: 1000, informs })
    expect(server.isWell()).toBe(false)
    await pass(500)
    expect(session.maxPayload).toBe(informs ? 500 : 4096)
    expect((await open()).maxPayload).toBe(500)
    await pass(1000)
    expect((await open()).maxPayload).toBe(4096)
    expect(server.isWell()).toBe(true)
    expect(facts.lowestMaxPayload).toBe(500)
  }
})

it('forgets at a crash what it has not read, and is back later', async () => {
  const { open, pass, server, facts, startLife, servers } = setUp()
  const session = await open()
  write(session, 1)
  const confirmed = watch(session.confirm())
  const closed = watch(session.closed)
  SERVER_FAULTS.crash!.strike(server, { ...ON_ALL, ms: 5000, silent: false })
  await pass(1000)
  expect(closed.value).toBe('read ECONNRESET')
  expect(session.isClosed()).toBe(true)
  expect(confirmed.state).toBe('pending')
  await expect(session.confirm()).rejects.toThrow('closed connection')
  expect(numbersOf(facts)).toEqual([])
  const dial = server.dial(startLife())
  const refused = watch(dial(servers[0]!, new AbortController().signal))
  await pass(3500)
  expect(refused).toEqual({ state: 'failed', value: 'connection refused' })
  await pass(1000)
  const next = await open()
  write(next, 1)
  const again = watch(next.confirm())
  await pass(1000)
  expect(again.state).toBe('done')
  expect(numbersOf(facts)).toEqual([1])
})

it('says nothing when it dies silently, until it is back and asked', async () => {
  const { open, pass, server } = setUp()
  const session = await open()
  const closed = watch(session.closed)
  SERVER_FAULTS.crash!.strike(server, { ...ON_ALL, ms: 2000, silent: true })
  write(session, 1)
  await pass(2000)
  expect(closed.state).toBe('pending')
  write(session, 2)
  await pass(1000)
  expect(closed.value).toBe('read ECONNRESET')
})

it('ends a session in two to three ping intervals when it freezes', async () => {
  const { open, pass, server, facts, startLife, servers } = setUp()
  const session = await open()
  await pass(5000)
  SERVER_FAULTS.freeze!.strike(server, { ...ON_ALL, ms: 60_000 })
  write(session, 1)
  void session.confirm()
  const closed = watch(session.closed)
  const dialled = watch(server.dial(startLife())(servers[0]!, new AbortController().signal))
  await pass(19_000)
  expect(dialled).toEqual({ state: 'failed', value: 'timeout' })
  expect(closed.state).toBe('pending')
  await pass(11_000)
  expect(closed.value).toBe('no answer to 2 pings')
  expect(numbersOf(facts)).toEqual([])
})

it('goes on where it was frozen', async () => {
  const { open, pass, server, facts } = setUp()
  const session = await open()
  SERVER_FAULTS.freeze!.strike(server, { ...ON_ALL, ms: 8_000 })
  write(session, 1)
  const confirmed = watch(session.confirm())
  await pass(7_000)
  expect(confirmed.state).toBe('pending')
  await pass(2_000)
  expect(confirmed.state).toBe('done')
  expect(numbersOf(facts)).toEqual([1])
})

it('closes after any byte, and processes no part of a message', async () => {
  const whole = messageOf(alertLine(1)).length
  for (const after of [1, whole - 1, whole, whole + 1, 2 * whole]) {
    const { open, pass, server, facts } = setUp()
    const session = await open()
    const closed = watch(session.closed)
    SERVER_FAULTS.close!.strike(server, { ...ON_ALL, unit: 'bytes', after, flushes: false })
    write(session, 1, 2, 3)
    await pass(1000)
    expect(closed.state).toBe('done')
    expect(facts.arrivals).toHaveLength(Math.floor(after / whole))
    expect(server.isWell()).toBe(true)
  }
})

it('closes before or after the PONG', async () => {
  for (const flushes of [false, true]) {
    const { open, pass, server, facts } = setUp()
    const session = await open()
    const closed = watch(session.closed)
    SERVER_FAULTS.close!.strike(server, { ...ON_ALL, unit: 'pings', after: 1, flushes })
    write(session, 1)
    const confirmed = watch(session.confirm())
    await pass(1000)
    expect(closed.state).toBe('done')
    expect(confirmed.state).toBe(flushes ? 'done' : 'pending')
    expect([...facts.answered]).toEqual([1])
    expect([...facts.confirmed]).toEqual(flushes ? [1] : [])
  }
})

it('shows its clients out as a lame duck, and goes', async () => {
  const { open, pass, server, servers, startLife } = setUp()
  const session = await open()
  const closed = watch(session.closed)
  SERVER_FAULTS.lameDuck!.strike(server, { ...ON_ALL, ms: 1000, downMs: 10_000 })
  const dialled = watch(server.dial(startLife())(servers[0]!, new AbortController().signal))
  await pass(4000)
  expect(closed.state).toBe('done')
  expect(dialled.state).toBe('failed')
  await pass(8000)
  expect(server.isWell()).toBe(true)
})

it('lets dials hang until they are aborted, and refuses them with its words', async () => {
  const { server, pass, startLife, servers } = setUp()
  const dial = server.dial(startLife())
  SERVER_FAULTS.hang!.strike(server, { byName: true, ms: 4000 })
  const abort = new AbortController()
  const hanging = watch(dial(servers[0]!, abort.signal))
  await pass(10_000)
  expect(hanging.state).toBe('pending')
  abort.abort(new Error('late'))
  await pass(0)
  expect(hanging).toEqual({ state: 'failed', value: 'late' })
  SERVER_FAULTS.refuse!.strike(server, { text: 'Authorization Violation', ms: 4000 })
  const refused = watch(dial(servers[0]!, new AbortController().signal))
  await pass(3_500)
  expect(refused.value).toBe('Authorization Violation')
})

it('takes a prefix of what a killed life wrote, and calls it no more', async () => {
  const kept = new Set<number>()
  for (let seed = 0; seed < 40; seed++) {
    const { open, pass, facts, startLife } = setUp(OPTIONS, seed)
    const life = startLife()
    const session = await open(life)
    write(session, 1, 2)
    const confirmed = watch(session.confirm())
    const closed = watch(session.closed)
    life.kill()
    write(session, 3)
    session.close()
    await pass(1000)
    expect(confirmed.state).toBe('pending')
    expect(closed.state).toBe('pending')
    expect(facts.confirmed.size).toBe(0)
    expect(numbersOf(facts)).toEqual([1, 2].slice(0, facts.arrivals.length))
    kept.add(facts.arrivals.length)
  }
  expect(kept).toEqual(new Set([0, 1, 2]))
})

it('takes less of what was sent when the power went', async () => {
  let arrived = 0
  for (let seed = 0; seed < 40; seed++) {
    const { open, pass, facts, startLife, server } = setUp(OPTIONS, seed)
    const life = startLife()
    write(await open(life), 1)
    server.cutPower(life)
    life.kill()
    await pass(1000)
    arrived += facts.arrivals.length
  }
  expect(arrived).toBeLessThan(10)
})

it('lets a life die before and after a write', async () => {
  const arrived = [0, 0, 0]
  for (const steps of [1, 2])
    for (let seed = 0; seed < 20; seed++) {
      const { open, pass, facts, startLife } = setUp(OPTIONS, seed)
      const life = startLife()
      const session = await open(life)
      life.killAfter(steps)
      write(session, 1)
      expect(life.isAlive()).toBe(false)
      await pass(1000)
      arrived[steps]! += facts.arrivals.length
    }
  expect(arrived[1]).toBe(0)
  expect(arrived[2]).toBeGreaterThan(5)
})

it('is well once it is healed, whatever struck', async () => {
  const { server, open, pass, world } = setUp({ ...OPTIONS, servers: 3 })
  const random = world.random('faults')
  for (let strike = 0; strike < 30; strike++)
    for (const kind of Object.values(SERVER_FAULTS)) kind.strike(server, kind.draw(random))
  await pass(10)
  server.heal()
  expect(server.isWell()).toBe(true)
  await pass(100_000)
  expect(server.isWell()).toBe(true)
  const session = await open()
  expect(session.discovered).toHaveLength(3)
})
