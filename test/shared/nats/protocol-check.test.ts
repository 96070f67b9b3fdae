// What is let through from a server, and what ends the connection.

import { Kind, Parser, parseSemVer } from 'nats'
import { expect, it } from 'vitest'
import { createWire, type Wire } from '../../../src/shared/nats/protocol-check.ts'
import { info } from '../../support/hostile.ts'
import { generator, SEED } from '../../support/random.ts'

const open = (text = '') => {
  const wire = createWire(100)
  wire.take(Buffer.from(info() + text))
  return wire
}

const SESSION = `${info({ connect_urls: ['10.0.0.1:4222'] })}PONG\r\n+OK\r\nMSG a.b 1  2\r\nhi\r\nMSG a.b 12 _INBOX.x 0\r\n\r\nHMSG a 1 12 15\r\nNATS/1.0\r\n\r\n\n\r\n\r\nPING\r\n-ERR 'Permissions Violation for Publish to "a"'\r\n-ERR 'Slow Consumer'\r\n${info({ connect_urls: [] })}`

it('lets all that is the protocol through, in whole lines, however it is cut', () => {
  const bytes = Buffer.from(SESSION)
  for (let size = 1; size < 40; size++) {
    const wire = createWire(100)
    const parts: Buffer[] = []
    for (let at = 0; at < bytes.length; at += size)
      parts.push(Buffer.from(wire.take(bytes.subarray(at, at + size))))
    expect(Buffer.concat(parts).toString()).toBe(SESSION)
    expect(wire.serverError).toBe('Slow Consumer')
    expect(wire.info).toMatchObject({ version: '2.10.0', connect_urls: [] })
  }
})

it.each([
  ['an answer of HTTP', 'HTTP/1.1 400 Bad Request\r\n'],
  ['control characters', '\x1b[31m\r\n'],
  ['a line that begins with none', '\x1b'],
  ['a line that begins with a part of one', 'PUNG'],
  ['a part of one', 'PIN\r\n'],
  ['no size', 'MSG a 1\r\n'],
  ['a size that is none', 'MSG a 1 2x\r\n'],
  ['a sid that is none', 'MSG a x 2\r\n'],
  ['a size of 16 digits', 'MSG a 1 1234567890123456\r\n'],
  ['too much for a message', 'MSG a 1 b c 2\r\n'],
  ['headers longer than all', 'HMSG a 1 9 8\r\n'],
  ['a message too large', 'MSG a 1 101\r\n'],
  ['a message longer than it claims', 'MSG a 1 2\r\nhiya\r\n'],
  ['no subject', 'MSG  1 2\r\n'],
  ['a tab', 'MSG a\t1 2 2\r\n'],
  ['INFO that is no JSON', 'INFO {\x1b}\r\n'],
  ['INFO that is nothing', 'INFO null\r\n'],
  ['INFO of no version', 'INFO {"version":"x"}\r\n'],
  ['INFO of an odd nonce', 'INFO {"version":"1.2.3","nonce":1}\r\n'],
  ['a line without an end', `-ERR ${'x'.repeat(70_000)}`],
  ['PING without end', 'PING\r\n'.repeat(10_001)],
])('throws at %s', (_, text) => {
  const wire = open()
  expect(() => wire.take(Buffer.from(text))).toThrow(/^[ -~]+$/)
})

it('wants INFO first, or why there is none', () => {
  for (const text of ['PING\r\n', 'PONG\r\n', '+OK\r\n', 'MSG a 1 0\r\n\r\n'])
    expect(() => createWire(100).take(Buffer.from(text))).toThrow('not the NATS protocol')
  const wire = createWire(100)
  wire.take(Buffer.from("-ERR 'maximum connections exceeded'\r\n"))
  expect([wire.serverError, wire.info]).toEqual(['maximum connections exceeded', undefined])
})

it('counts no denial and no answer among what was not asked for', () => {
  const wire = open()
  const denial = `-ERR 'Permissions Violation for Publish to "a"'\r\n`
  for (let n = 0; n < 200; n++) wire.take(Buffer.from(`${denial}PONG\r\n`.repeat(100)))
  expect(wire.serverError).toBeUndefined()
})

it('knows whether anything follows INFO', () => {
  expect(open().isOnlyInfo()).toBe(true)
  expect(open('P').isOnlyInfo()).toBe(false)
  expect(open('PING\r\n').isOnlyInfo()).toBe(false)
})

it('gives the client no INFO but what was understood of it', () => {
  const told = ['10.0.0.1:4222', '[::1]:4222', 'n1.example.com:4222']
  const hostile = [
    ...['\x1b[31m:1', 'http://[::bad', 'a b:4222', '[::g]:1', 'x', '', '999.1.1.1:1e9', 7],
    `${'a'.repeat(300)}:1`,
  ]
  const wire = createWire(100)
  const text = info({ connect_urls: [...hostile, ...told], max_payload: -1 })
  const passed = wire.take(Buffer.from(`${text}PING\r\n${text}PO`)).toString()
  const line = `INFO ${JSON.stringify(wire.info)}\r\n`
  expect(passed).toBe(`${line}PING\r\n${line}`)
  // -1 is a server without a limit; the client would take it for one.
  expect(wire.info).toMatchObject({ connect_urls: told, max_payload: 64 * 1024 * 1024 })
})

function takenOrWhy(wire: Wire, chunk: Buffer): Buffer | Error {
  try {
    return wire.take(chunk)
  } catch (error) {
    return error as Error
  }
}

it('passes nothing on that the client cannot parse, and quotes nothing that a terminal would obey', () => {
  console.info(`FUZZ_SEED=${SEED}`)
  const random = generator(SEED)
  const pieces = [
    'MSG ',
    'HMSG ',
    'a ',
    '1 ',
    ' 2',
    '\t',
    '\r\n',
    '\n',
    '\r',
    'PING',
    'PONG',
    '+OK',
    '-ERR ',
    'x',
  ]
  const counts = { taken: 0, thrown: 0 }
  const bad: string[] = []
  for (let n = 0; n < 30_000; n++) {
    const wire = open()
    const parser = new Parser({
      push(event) {
        if (typeof event === 'function' || event.kind !== Kind.INFO) return
        parseSemVer(JSON.parse(Buffer.from(event.data!).toString()).version)
      },
    })
    const text = Array.from({ length: 10 }, () =>
      random(9) === 0 ? info() : random(4) === 0 ? '\r\n' : pieces[random(pieces.length)],
    ).join('')
    const bytes = Buffer.from(text)
    const cut = random(bytes.length)
    for (const chunk of [bytes.subarray(0, cut), bytes.subarray(cut)]) {
      const passed = takenOrWhy(wire, chunk)
      if (passed instanceof Error) {
        counts.thrown++
        if (!/^[ -~]{1,500}$/.test(passed.message)) bad.push(text)
        break
      }
      counts.taken++
      try {
        parser.parse(passed)
      } catch {
        bad.push(text)
      }
    }
  }
  expect(bad).toEqual([])
  expect(Math.min(counts.taken, counts.thrown)).toBeGreaterThan(1000)
})
