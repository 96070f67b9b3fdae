// One connection: what it lets go of, and when.

import { once } from 'node:events'
import { createServer, type Socket } from 'node:net'
import { expect, it } from 'vitest'
import { openSession } from '../../../src/forward/delivery/session.ts'
import { type Credentials, readCredentials } from '../../../src/shared/nats/credentials.ts'
import type { CredentialOptions } from '../../../src/shared/nats/options.ts'
import { parseServers } from '../../../src/shared/nats/servers.ts'
import { fixturePath } from '../../support/fixtures.ts'
import { startNats } from '../../support/nats.ts'
import { until } from '../../support/wait.ts'

const message = (subject: string, payload: Buffer) =>
  Buffer.concat([Buffer.from(`PUB ${subject} ${payload.length}\r\n`), payload, Buffer.from('\r\n')])
const IDENTITY = { name: 'test', inboxPrefix: '_INBOX' }

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
  [
    'TLS',
    `tls { cert_file: "${fixturePath('tls/server.crt')}", key_file: "${fixturePath('tls/server.key')}" }`,
    'tls',
  ],
])(
  'lets go of a %s server that no longer reads, without waiting for it',
  async (_, config, scheme) => {
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
  },
)

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
