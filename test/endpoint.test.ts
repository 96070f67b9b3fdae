import { networkInterfaces } from 'node:os'
import { expect, it } from 'vitest'
import { openEndpoint, type Routes } from '../src/endpoint.ts'
import { UsageError } from '../src/errors.ts'
import { listenAddress } from '../src/values.ts'

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
