import { once } from 'node:events'
import { connect, type Socket } from 'node:net'
import { networkInterfaces } from 'node:os'
import { afterEach, expect, it, vi } from 'vitest'
import { UsageError } from '../../src/shared/errors.ts'
import { openEndpoint, type Routes } from '../../src/shared/http-endpoint.ts'
import { listenAddress } from '../../src/shared/options/parsers.ts'

const open = (text: string) => openEndpoint(listenAddress(text)!)

const ROUTES: Routes = {
  metrics: async () => 'a 1\n',
  live: () => undefined,
  ready: (withNats) => (withNats ? 'not connected' : undefined),
}

async function ask(address: string, path: string, method = 'GET') {
  const response = await fetch(`http://${address}${path}`, { method })
  return [response.status, await response.text(), response.headers.get('content-type')]
}

it('is alive and not ready until it serves', async () => {
  await using endpoint = await open('127.0.0.1:0')
  expect((await ask(endpoint.address, '/livez'))[0]).toBe(200)
  expect((await ask(endpoint.address, '/readyz')).slice(0, 2)).toEqual([
    503,
    'starting: the pipe is not open yet\n',
  ])
})

it('serves each path, and says what there is on others', async () => {
  await using endpoint = await open('127.0.0.1:0')
  const { address } = endpoint
  endpoint.serve(ROUTES)
  const text = 'text/plain; charset=utf-8'
  expect(await ask(address, '/metrics')).toEqual([
    200,
    'a 1\n',
    'text/plain; version=0.0.4; charset=utf-8',
  ])
  expect(await ask(address, '/livez')).toEqual([200, 'ok\n', text])
  expect(await ask(address, '/readyz')).toEqual([200, 'ok\n', text])
  expect(await ask(address, '/readyz?nats')).toEqual([503, 'not connected\n', text])
  expect(await ask(address, '/readyz', 'HEAD')).toEqual([200, '', text])
  expect((await ask(address, '/'))[0]).toBe(404)
  expect((await ask(address, '//x/%ff?\u00e4'))[0]).toBe(404)
  expect((await ask(address, '/metrics', 'POST'))[0]).toBe(405)
})

/** A connection that has sent `text`. */
async function send(address: string, text: string): Promise<Socket> {
  const [host, port] = address.split(':')
  const socket = connect(Number(port), host)
  await once(socket, 'connect')
  socket.write(text)
  return socket
}

async function answerTo(socket: Socket): Promise<string> {
  const chunks: Buffer[] = []
  for await (const chunk of socket) chunks.push(chunk)
  return String(Buffer.concat(chunks))
}

const GET = 'GET /livez HTTP/1.1\r\nHost: a\r\n\r\n'

it.each([
  ['one of two that are pipelined', GET + GET, /^HTTP\/1.1 200 OK\r\n.*\r\nok\n$/s],
  ['one of HTTP/1.0', 'GET /readyz HTTP/1.0\r\n\r\n', /^HTTP\/1.1 200 .*\r\nok\n$/s],
  ['one with a body', GET.replace('GET', 'POST') + 'x'.repeat(100_000), /^HTTP\/1.1 405 /],
  ['what is no request', 'INFO {}\r\n\r\n', /^HTTP\/1.1 400 /],
  ['a head that never ends', `GET /${'x'.repeat(9000)}`, /^HTTP\/1.1 400 /],
])('answers once: %s', async (_, text, expected) => {
  await using endpoint = await open('127.0.0.1:0')
  endpoint.serve(ROUTES)
  expect(await answerTo(await send(endpoint.address, text))).toMatch(expected)
})

it('answers a request that comes byte by byte, from a peer that then ends its side', async () => {
  await using endpoint = await open('127.0.0.1:0')
  const socket = await send(endpoint.address, '')
  for (const character of GET) await new Promise((sent) => socket.write(character, sent))
  socket.end()
  expect(await answerTo(socket)).toMatch(/^HTTP\/1.1 200 /)
})

it('closes a connection after 10 s, whatever it has done until then', async () => {
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] })
  await using endpoint = await open('127.0.0.1:0')
  endpoint.serve({ ...ROUTES, metrics: async () => 'a 1\n'.repeat(5_000_000) })
  const unread = await send(endpoint.address, GET.replace('livez', 'metrics'))
  await once(unread, 'readable')
  const silent = await send(endpoint.address, 'GET /livez')
  // It has been accepted by the time that a later one is answered.
  await answerTo(await send(endpoint.address, GET))
  vi.advanceTimersByTime(9_000)
  expect([unread.destroyed, silent.destroyed]).toEqual([false, false])
  vi.advanceTimersByTime(1_000)
  expect(await answerTo(silent)).toBe('')
  expect((await answerTo(unread)).length).toBeLessThan(20_000_000)
})

afterEach(() => void vi.useRealTimers())

it('closes the oldest of 513 connections, and the oldest of 9 that have not read metrics', async () => {
  await using endpoint = await open('127.0.0.1:0')
  endpoint.serve({ ...ROUTES, metrics: async () => 'a 1\n'.repeat(5_000_000) })
  const { address } = endpoint
  const open512 = await Promise.all(Array.from({ length: 512 }, () => send(address, '')))
  const [oldest] = open512
  const last = await send(address, '')
  await once(oldest!.resume(), 'close')
  expect(open512.filter(({ destroyed }) => destroyed)).toEqual([oldest])
  for (const socket of [...open512, last]) socket.destroy()
  const readers: Socket[] = []
  for (let reader = 0; reader < 9; reader++) {
    const socket = await send(address, GET.replace('livez', 'metrics'))
    await once(socket, 'readable')
    readers.push(socket)
  }
  const cut = readers.map((socket) =>
    answerTo(socket).then(
      ({ length }) => length,
      () => 0,
    ),
  )
  const lengths = await Promise.all(cut)
  expect(lengths[0]).toBeLessThan(20_000_000)
  expect(lengths.slice(1).every((length) => length > 20_000_000)).toBe(true)
})

it('renders metrics once for all that ask within a second', async () => {
  await using endpoint = await open('127.0.0.1:0')
  const metrics = vi.fn(async () => 'a 1\n')
  endpoint.serve({ ...ROUTES, metrics })
  const asked = Array.from({ length: 20 }, () => ask(endpoint.address, '/metrics'))
  for (const [status, text] of await Promise.all(asked))
    expect([status, text]).toEqual([200, 'a 1\n'])
  expect(metrics.mock.calls.length).toBeLessThan(5)
})

it('answers 500 when a text cannot be made, and lives on', async () => {
  await using endpoint = await open('127.0.0.1:0')
  endpoint.serve({ ...ROUTES, metrics: () => Promise.reject(new Error('broken')) })
  expect((await ask(endpoint.address, '/metrics')).slice(0, 2)).toEqual([500, 'broken\n'])
  expect((await ask(endpoint.address, '/livez'))[0]).toBe(200)
})

it('listens on IPv4 and, where the host has it, IPv6', async () => {
  await using endpoint = await open(':0')
  const port = endpoint.address.split(':').at(-1)
  expect((await ask(`127.0.0.1:${port}`, '/livez'))[0]).toBe(200)
  const hasIPv6 = Object.values(networkInterfaces())
    .flat()
    .some((each) => each?.address === '::1')
  if (hasIPv6) expect((await ask(`[::1]:${port}`, '/livez'))[0]).toBe(200)
  else console.info('no IPv6 here: only IPv4 was asked')
})

it('says why it cannot listen, and what is allowed', async () => {
  await using endpoint = await open('127.0.0.1:0')
  const taken = open(endpoint.address)
  await expect(taken).rejects.toThrow(UsageError)
  await expect(taken).rejects.toThrow(/another process has this port; allowed: another address/)
  await expect(open('192.0.2.1:0')).rejects.toThrow(/allowed: an address of this host, or off/)
})

it.each([
  ['off', undefined],
  [':9376', { host: undefined, port: 9376 }],
  ['localhost:1', { host: 'localhost', port: 1 }],
  ['[::1]:65535', { host: '::1', port: 65535 }],
])('understands the address %s', (text, expected) => {
  if (expected) expect(listenAddress(text)).toEqual({ text, ...expected })
  else expect(listenAddress(text)).toBeUndefined()
})

it.each(['', '9376', ':', ':65536', '::1:80', 'a:b', '[::1]', 'http://a:1'])(
  'refuses the address "%s"',
  (text) => expect(() => listenAddress(text)).toThrow(/^allowed: host:port/),
)
