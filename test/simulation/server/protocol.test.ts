import { expect, it } from 'vitest'
import { createParser, headerOf, type Message } from './protocol.ts'

function setUp(maxPayload = 1000) {
  const seen: string[] = []
  const messages: Message[] = []
  const parser = createParser({
    fits: (size) => size <= maxPayload || seen.push(`too large ${size}`) < 0,
    publish: (message) => {
      messages.push(message)
      seen.push(message.subject)
    },
    subscribe: (subject) => seen.push(`SUB ${subject}`),
    ping: () => seen.push('PING'),
    wrong: (detail) => seen.push(`wrong ${detail}`),
  })
  const take = (text: string) => parser.take(Buffer.from(text, 'latin1'))
  return { parser, take, seen, messages }
}

const HEADERS = 'NATS/1.0\r\nNats-Msg-Id: x1\r\n\r\n'
const SENT = `SUB _INBOX.1.* 1\r\nPING\r\nPUB a.b 5\r\nhe\r\no\r\nHPUB a.c in.1 ${HEADERS.length} ${HEADERS.length + 2}\r\n${HEADERS}hi\r\nPUB d 0\r\n\r\nPING\r\n`

it('reads the same, wherever the bytes are cut', () => {
  for (let cut = 0; cut <= SENT.length; cut++) {
    const { take, seen, messages } = setUp()
    take(SENT.slice(0, cut))
    take(SENT.slice(cut))
    expect(seen).toEqual(['SUB _INBOX.1.*', 'PING', 'a.b', 'a.c', 'd', 'PING'])
    expect(messages[0]).toEqual({
      ...{ subject: 'a.b', reply: undefined, headers: undefined, payload: 'he\r\no', size: 5 },
    })
    expect(messages[1]).toMatchObject({ reply: 'in.1', payload: 'hi', size: HEADERS.length + 2 })
    expect(headerOf(messages[1]!.headers, 'Nats-Msg-Id')).toBe('x1')
    expect(headerOf(messages[1]!.headers, 'Nats-Expected-Stream')).toBeUndefined()
  }
})

it('reads byte after byte, and no message before its last byte', () => {
  const { take, seen } = setUp()
  for (const byte of SENT.slice(0, -'PING\r\n'.length - 1)) take(byte)
  expect(seen).toEqual(['SUB _INBOX.1.*', 'PING', 'a.b', 'a.c'])
})

it.each([
  'PUB a.b 5\r\nhello\n\n',
  'PUB a.b 5\r\nhelloworld\r\n',
  'PUB a.b 5\nhello\r\n',
  'PUB a.b\r\n',
  'PUB a.b 05\r\n',
  'PUB a..b 5\r\n',
  'PUB a.* 5\r\n',
  'PUB  a.b 5\r\n',
  'PUB a.b r r 5\r\n',
  'HPUB a.b 5\r\n',
  'HPUB a.b r 6 5\r\n',
  'HPUB a.b r 5 5\r\nhello\r\n',
  'pub a.b 5\r\n',
  'x',
  '{"output"',
  `PUB ${'a'.repeat(5000)} 5\r\n`,
])('refuses %j, and reads no more', (text) => {
  const { take, seen } = setUp()
  take(text)
  take('PING\r\n')
  expect(seen).toEqual([expect.stringContaining('wrong ')])
})

it('asks for the size before the payload comes', () => {
  const { take, seen } = setUp(10)
  take('PUB a 10\r\n0123456789\r\nPUB a 11\r\n')
  take('0123456789a\r\nPING\r\n')
  expect(seen).toEqual(['a', 'too large 11'])
})
