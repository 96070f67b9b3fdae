import { describe, expect, it } from 'vitest'
import { discoveredServers, parseServers } from '../../../src/shared/nats/servers.ts'

describe('parseServers', () => {
  it.each([
    ['nats://a:1', [{ address: 'a:1', shown: 'nats://a:1', tlsRequired: false }]],
    ['a', [{ address: 'a:4222', shown: 'nats://a:4222', tlsRequired: false }]],
    ['tls://a', [{ address: 'a:4222', shown: 'tls://a:4222', tlsRequired: true }]],
    ['[::1]:5', [{ address: '[::1]:5', shown: 'nats://[::1]:5', tlsRequired: false }]],
    ['a:80', [{ address: 'a:80', shown: 'nats://a:80', tlsRequired: false }]],
    ['a:21', [{ address: 'a:21', shown: 'nats://a:21', tlsRequired: false }]],
    [
      'nats://a, tls://b:2 ,',
      [
        { address: 'a:4222', shown: 'nats://a:4222', tlsRequired: false },
        { address: 'b:2', shown: 'tls://b:2', tlsRequired: true },
      ],
    ],
    [
      'nats://us%20er:p%40ss@a:1',
      [
        {
          address: 'a:1',
          shown: 'nats://a:1',
          tlsRequired: false,
          user: 'us er',
          password: 'p@ss',
        },
      ],
    ],
    [
      'nats://token@a:1',
      [{ address: 'a:1', shown: 'nats://a:1', tlsRequired: false, user: 'token' }],
    ],
  ])('reads %s', (text, servers) => {
    expect(parseServers(text)).toEqual(servers)
  })

  it.each([
    '',
    'http://a',
    'ws://a',
    'nats://',
    'nats://a:x',
    'nats://a/path',
    'nats://a?b',
    'a:99999',
    'nats://%zz@a',
  ])('refuses %j', (text) => {
    expect(() => parseServers(text)).toThrow()
  })
})

it('adds what a cluster announced, to be checked against the name of the announcer', () => {
  const [own] = parseServers('tls://u:p@nats.example.com:4222')
  expect(discoveredServers([own!], own!, ['10.0.0.2:4222', 'nats.example.com:4222'])).toEqual([
    {
      address: '10.0.0.2:4222',
      shown: 'tls://10.0.0.2:4222',
      tlsRequired: true,
      user: 'u',
      password: 'p',
      certificateName: 'nats.example.com',
    },
  ])
  const [byAddress] = parseServers('127.0.0.1')
  expect(discoveredServers([byAddress!], byAddress!, ['127.0.0.2:1'])[0]).not.toHaveProperty(
    'certificateName',
  )
})

it('keeps the name to expect from one announced server to those that it announces, and shows no control characters', () => {
  const [own] = parseServers('nats.example.com')
  const [announced] = discoveredServers([own!], own!, ['10.0.0.2:4222'])
  const [next] = discoveredServers([own!], announced!, ['10.0.0.3:4222'])
  expect(next).toMatchObject({ address: '10.0.0.3:4222', certificateName: 'nats.example.com' })
  const [byIPv6] = parseServers('[fe80::1]:4222')
  expect(discoveredServers([byIPv6!], byIPv6!, ['\x1b:1'])).toEqual([
    { address: '\x1b:1', shown: 'nats://\\u{1b}:1', tlsRequired: false },
  ])
})
