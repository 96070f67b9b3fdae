// From server to server, and what the log has of it.

import { describe, expect, it } from 'vitest'
import { createCounters } from '../../../src/forward/accounting/counters.ts'
import { createConnector } from '../../../src/forward/delivery/connector.ts'
import type { Session } from '../../../src/forward/delivery/session.ts'
import { parseServers } from '../../../src/shared/nats/servers.ts'
import { createVirtualTime, settled } from '../../simulation/virtual-clock.ts'
import { startHostile } from '../../support/hostile.ts'
import { startCluster, startNats } from '../../support/nats.ts'
import { recordingLog } from '../../support/recording-log.ts'
import { environmentFor } from '../../support/sessions.ts'
import { until } from '../../support/wait.ts'

function setUp(urls: string) {
  const { log, lines } = recordingLog()
  const counters = createCounters()
  const servers = parseServers(urls)
  const connector = createConnector({ ...environmentFor(), servers, counters, log })
  const stop = new AbortController()
  return {
    counters,
    lines,
    stop,
    next: () => connector.next(stop.signal),
    messages: () => lines.map(({ msg }) => msg),
  }
}

describe('the next session', () => {
  it('is there when a server is, and the wait is one line in the log', async () => {
    await using server = await startNats('', { started: false })
    const set = setUp(server.url)
    const next = set.next()
    await until('it has failed', () => set.lines.length > 0)
    await server.start()
    const session = await next
    expect(set.lines).toMatchObject([
      { msg: 'cannot connect, will keep trying', reason: expect.stringContaining(server.url) },
      { msg: 'connected', server: server.url, tls: false, maxPayload: '1 MiB' },
    ])
    expect(set.counters.sessions).toBe(1)
    session.close()
    await session.closed
  })

  it('is with the other server when one is lost', async () => {
    await using first = await startNats()
    await using second = await startNats()
    const set = setUp(`${first.url},${second.url}`)
    const before = await set.next()
    const other = before.server.shown === first.url ? second : first
    before.close('of no use')
    const after = await set.next()
    expect(after.server.shown).toBe(other.url)
    expect(set.messages()).toEqual(['connected', 'disconnected', 'connected'])
    expect(set.lines[1]).toMatchObject({ server: before.server.shown, reason: 'of no use' })
    after.close()
    await after.closed
    expect(set.messages()).toHaveLength(3)
  })

  it('is with a server of the cluster that the user did not name, when those named are gone', async () => {
    await using cluster = await startCluster(2)
    const [named, unnamed] = cluster.nodes
    const set = setUp(named!.url)
    const before = await set.next()
    await named!.stop()
    await before.closed
    const after = await set.next()
    expect(after.server.shown).toBe(unnamed!.url)
    after.close()
    await after.closed
  })

  it('never is, once it is stopped', async () => {
    await using server = await startNats('', { started: false })
    const set = setUp(server.url)
    const next = set.next()
    await until('it has failed', () => set.lines.length > 0)
    set.stop.abort(new Error('stopped'))
    await expect(next).rejects.toThrow(/stopped|abort/)
    await expect(set.next()).rejects.toThrow(/stopped|abort/)
  })
})

it('logs a reason once, however often it is the reason, and those that a server invents no more than 16 times', async () => {
  let connections = 0
  await using hostile = await startHostile((socket) => {
    connections++
    socket.end(connections > 4 ? `-ERR 'reason ${connections}'\r\n` : `-ERR 'Full'\r\n`)
  })
  // Many at a time are tried without a pause.
  const set = setUp(Array(8).fill(hostile.url).join())
  const next = set.next()
  await until('it was dialled often', () => connections > 4 + 8 * 3)
  const reasons = set.lines.map(({ reason }) => reason)
  expect(new Set(reasons).size).toBe(reasons.length)
  expect(reasons[0]).toMatch(/: Full; .*: reason 5; .*: reason 8$/)
  set.stop.abort()
  await expect(next).rejects.toThrow()
  expect(set.lines.length).toBeLessThanOrEqual(16)
})

it('waits longer each time for a server that ends sessions, less where it confirmed something, least where it lasted', async () => {
  const time = createVirtualTime()
  const { log } = recordingLog()
  const [server] = parseServers('nats://127.0.0.1')
  let lasts = { proven: false, ms: 0 }
  /** Ended by the server after `ms`. */
  const dial = async (): Promise<Session> => {
    const { proven, ms } = lasts
    const closed = time.clockFor().delay(ms)
    return { server, proven, discovered: [], closed: closed.then(() => 'ended') } as never
  }
  const connector = createConnector({
    servers: [server!],
    dial,
    counters: createCounters(),
    log,
    clock: time.clockFor(),
    random: () => 0,
  })
  async function elapsed<T>(promise: Promise<T>): Promise<T> {
    let isOver = false
    void promise.then(() => {
      isOver = true
    })
    for (await settled(); !isOver; await settled()) time.next()
    return await promise
  }
  async function pauseBefore(next: typeof lasts): Promise<number> {
    lasts = next
    const startedAt = time.now()
    const session = await elapsed(connector.next(new AbortController().signal))
    const pause = time.now() - startedAt
    await elapsed(session.closed)
    return pause
  }
  const pauses: number[] = []
  const brief = { proven: false, ms: 0 }
  for (const next of [brief, brief, brief, brief, { proven: true, ms: 0 }])
    pauses.push(await pauseBefore(next))
  expect(pauses).toEqual([0, 100, 200, 400, 800])
  expect(await pauseBefore({ proven: false, ms: 10_001 })).toBeCloseTo(800 * 2 ** 0.25)
  expect(await pauseBefore(brief)).toBe(100)
})
