// One connection: what it knows, what ends it, and that it leaves nothing behind.

import { once } from 'node:events'
import { createServer, type Socket } from 'node:net'
import { describe, expect, it } from 'vitest'
import { openSession } from '../../../src/forward/delivery/session.ts'
import { type Credentials, readCredentials } from '../../../src/shared/nats/credentials.ts'
import type { CredentialOptions } from '../../../src/shared/nats/options.ts'
import { parseServers } from '../../../src/shared/nats/servers.ts'
import { fixturePath } from '../../support/fixtures.ts'
import { afterWelcome, info, startHostile } from '../../support/hostile.ts'
import { startNats, subscribe } from '../../support/nats.ts'
import { dial, IDENTITY } from '../../support/sessions.ts'
import { until } from '../../support/wait.ts'

const message = (subject: string, payload: Buffer) =>
  Buffer.concat([Buffer.from(`PUB ${subject} ${payload.length}\r\n`), payload, Buffer.from('\r\n')])
const TLS_CONFIG = `tls { cert_file: "${fixturePath('tls/server.crt')}", key_file: "${fixturePath('tls/server.key')}" }`

const never = new AbortController().signal

/** A server that takes connections and says nothing. */
async function startMute() {
  const sockets = new Set<Socket>()
  const server = createServer((socket) => {
    sockets.add(socket)
    socket.on('error', () => {}).on('close', () => sockets.delete(socket))
    socket.resume()
  }).listen(0, '127.0.0.1')
  await once(server, 'listening')
  return {
    url: `127.0.0.1:${(server.address() as { port: number }).port}`,
    connections: () => sockets.size,
    async [Symbol.asyncDispose]() {
      for (const socket of sockets) socket.destroy()
      server.close()
      await once(server, 'close')
    },
  }
}

it('gives up on a server that never greets, and leaves no socket behind', async () => {
  await using mute = await startMute()
  const [server] = parseServers(mute.url)
  await expect(openSession(server!, {}, IDENTITY, never)).rejects.toThrow('timeout')
  await until('the connection is gone', () => mute.connections() === 0)
})

it('stops dialling at once when it is told', async () => {
  await using mute = await startMute()
  const [server] = parseServers(mute.url)
  const stop = new AbortController()
  const dialled = openSession(server!, {}, IDENTITY, stop.signal)
  await until('it is connected', () => mute.connections() === 1)
  // A dial gives up by itself after five seconds.
  const stoppedAt = performance.now()
  stop.abort(new Error('stop'))
  await expect(dialled).rejects.toThrow('stop')
  expect(performance.now() - stoppedAt).toBeLessThan(4_000)
  await until('the connection is gone', () => mute.connections() === 0)
})

it.each([
  ['plain', '', 'nats'],
  ['TLS', TLS_CONFIG, 'tls'],
])('leaves a %s server that no longer reads, without waiting for it', async (_, config, scheme) => {
  await using nats = await startNats(config)
  const [server] = parseServers(`${scheme}://127.0.0.1:${nats.port}`)
  const options = { tlsca: fixturePath('tls/ca.crt') } as CredentialOptions
  const credentials: Credentials = scheme === 'tls' ? readCredentials(options, server!) : {}
  const session = await openSession(server!, credentials, IDENTITY, never)
  await session.confirm()
  expect(session.proven).toBe(true)
  nats.freeze()
  const payload = Buffer.alloc(1024 * 1024)
  for (let n = 0; n < 32; n++) session.write(message('falco.test', payload))
  let confirmed = false
  void session.confirm().then(() => {
    confirmed = true
  })
  session.close()
  expect(await session.closed).toBeUndefined()
  expect(confirmed).toBe(false)
})

it('counts what the server denies, before it confirms', async () => {
  await using nats = await startNats(
    'authorization { users: [{ user: u, password: p, permissions: { publish: "falco.ok" } }] }',
  )
  const [server] = parseServers(`nats://u:p@127.0.0.1:${nats.port}`)
  const credentials = readCredentials({} as CredentialOptions, server!)
  const session = await openSession(server!, credentials, IDENTITY, never)
  for (const subject of ['falco.ok', 'falco.no', 'falco.no', 'falco.not'])
    session.write(message(subject, Buffer.from('x')))
  await session.confirm()
  await until('all is heard', () => session.denied.size === 2)
  expect([...session.denied]).toEqual([
    ['falco.no', 2],
    ['falco.not', 1],
  ])
  session.close()
  await session.closed
})

const INFO = { connect_urls: ['10.0.0.1:4222', '10.0.0.2:4222'] }

it('knows what the server reports of itself, also when that changes', async () => {
  let socket: Socket | undefined
  await using server = await startHostile((accepted) => {
    socket = accepted
    accepted.write(info(INFO))
    accepted.on('data', (data) => data.includes('PING') && accepted.write('PONG\r\n'))
  })
  await using session = await dial(server.url)
  expect(session).toMatchObject({ version: '2.10.0', encrypted: false, maxPayload: 1048576 })
  expect(session.discovered).toEqual(INFO.connect_urls)
  socket!.write(info({ max_payload: 4096, connect_urls: ['10.0.0.3:4222'] }))
  await until('it is heard', () => session.maxPayload === 4096)
  expect(session.discovered).toEqual(['10.0.0.3:4222'])
})

it('writes what comes in one turn at once, and in order with what is alone', async () => {
  await using server = await startNats()
  await using subscriber = await subscribe(server.url)
  await using session = await dial(server.url)
  for (const n of [0, 1, 2, 3]) session.write(message('falco.test', Buffer.from(`${n}`)), n === 2)
  await session.confirm()
  await subscriber.count(4)
  expect(subscriber.messages.map(({ data }) => `${data}`)).toEqual(['0', '1', '2', '3'])
})

it('knows TLS from none', async () => {
  await using plain = await startNats()
  await using secret = await startNats(TLS_CONFIG)
  await using one = await dial(plain.url)
  await using other = await dial(secret.url.replace('nats:', 'tls:'), {
    tlsca: fixturePath('tls/ca.crt'),
  })
  expect([one.encrypted, other.encrypted]).toEqual([false, true])
})

describe('is over, with the reason,', () => {
  it('when the server stops', async () => {
    await using server = await startNats()
    await using session = await dial(server.url)
    await server.stop()
    expect(await session.closed).toMatch(/server closed the connection|shutdown/i)
  })

  it('when the server becomes a lame duck and shows it out', async () => {
    await using server = await startNats('lame_duck_duration: "30s", lame_duck_grace_period: "1s"')
    await using session = await dial(server.url)
    server.lameDuck()
    expect(await session.closed).toMatch(/./)
    await expect(dial(server.url)).rejects.toThrow()
  })

  it('when the server ends it with an error', async () => {
    await using server = await startHostile(
      afterWelcome((socket) => socket.end("-ERR 'Maximum \x1b Connections Exceeded'\r\n")),
    )
    await using session = await dial(server.url)
    expect(await session.closed).toBe('Maximum \\u{1b} Connections Exceeded')
    expect(session.proven).toBe(false)
  })

  it('when its credentials are no longer good', async () => {
    const allowing = (password: string) => `authorization { user: u, password: ${password} }`
    await using server = await startNats(allowing('p'))
    await using session = await dial(server.url.replace('//', '//u:p@'))
    server.reload(allowing('other'))
    expect(await session.closed).toMatch(/authori[sz]ation|authentication|closed/i)
    await expect(dial(server.url.replace('//', '//u:p@'))).rejects.toThrow(/authorization/i)
  })

  it('when we close it: with our reason, or with none', async () => {
    await using server = await startNats()
    for (const reason of ['of no use', undefined]) {
      const session = await dial(server.url)
      session.close(reason)
      session.close('too late')
      expect(await session.closed).toBe(reason ?? 'too late')
    }
  })
})

it('does not dial when it is stopped before', async () => {
  let connections = 0
  await using server = await startHostile(() => {
    connections++
  })
  const stopped = AbortSignal.abort(new Error('stopped'))
  await expect(dial(server.url, {}, stopped)).rejects.toThrow('stopped')
  expect(connections).toBe(0)
})
