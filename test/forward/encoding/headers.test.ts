import { describe, expect, it } from 'vitest'
import { headersOf, parseHeaders } from '../../../src/forward/encoding/headers.ts'
import { runFalcoNats } from '../../support/cli.ts'
import { createStream, readStream, startNats, subscribe } from '../../support/nats.ts'
import { tempDir } from '../../support/temp.ts'

const HOSTILE = 'A\r\nNats-Rollup: all\r\n\r\nПроцесс\0 100%'
const ENCODED =
  'A%0D%0ANats-Rollup: all%0D%0A%0D%0A%D0%9F%D1%80%D0%BE%D1%86%D0%B5%D1%81%D1%81%00 100%25'
const ALERT = JSON.stringify({ priority: 'Notice', rule: HOSTILE, source: 'syscall' })
const FALCO = { 'Falco-Rule': ENCODED, 'Falco-Priority': 'Notice', 'Falco-Source': 'syscall' }
const ARGS = ['--headers', 'on', '--add-header', 'Cluster=eu-1,node=n=7']

describe('headersOf', () => {
  it('gives those that the alert has, and nothing when nothing is wanted', () => {
    const alert = { priority: 'Error', rule: 'R', hostname: 'h', source: 7 }
    expect(headersOf({ falco: false, added: [] }, alert)).toBeUndefined()
    expect(String(headersOf({ falco: true, added: [['a', 'b']] }, alert))).toBe(
      'NATS/1.0\r\na: b\r\nFalco-Rule: R\r\nFalco-Priority: Error\r\nFalco-Hostname: h\r\n\r\n',
    )
  })
})

describe('parseHeaders', () => {
  it.each([
    ['cluster', /name=value/],
    ['a b=c', /printable ASCII/],
    ['a:b=c', /printable ASCII/],
    ['=c', /printable ASCII/],
    ['nats-msg-id=c', /belong to NATS/],
    ['a=b\r\nc', /line break/],
    [`a=${'b'.repeat(1100)}`, /at most/],
  ])('refuses %j', (text, why) => {
    expect(() => parseHeaders(text)).toThrow(why)
  })
})

describe('what arrives', () => {
  it('has the headers, with hostile names made safe, by core NATS', async () => {
    await using server = await startNats()
    await using subscriber = await subscribe(server.url)
    const args = ['-f', '-', '-s', server.url]
    expect((await runFalcoNats([...args, ...ARGS], { input: ALERT })).code).toBe(0)
    expect((await runFalcoNats(args, { input: ALERT })).code).toBe(0)
    await subscriber.count(2)
    const [withHeaders, without] = subscriber.messages
    expect(Object.fromEntries(withHeaders!.headers!)).toEqual({
      Cluster: ['eu-1'],
      node: ['n=7'],
      ...Object.fromEntries(Object.entries(FALCO).map(([name, value]) => [name, [value]])),
    })
    expect(String(withHeaders!.data)).toBe(ALERT)
    expect(without!.headers).toBeUndefined()
  })

  it('has them beside what JetStream needs', async () => {
    using dir = tempDir()
    await using server = await startNats(`jetstream { store_dir: "${dir.path}" }`)
    await createStream(server.url)
    const args = ['-f', '-', '-s', server.url, '--jetstream', '--stream', 'ALERTS']
    expect((await runFalcoNats([...args, ...ARGS], { input: ALERT })).code).toBe(0)
    const [kept] = await readStream(server.url)
    const headers = Object.fromEntries([...kept!.headers!].map(([name, [value]]) => [name, value]))
    expect(headers).toMatchObject({ ...FALCO, 'Nats-Expected-Stream': 'ALERTS', Cluster: 'eu-1' })
    expect(Object.keys(headers)).toHaveLength(7)
  })

  it('counts headers for max_payload', async () => {
    await using server = await startNats('max_payload: 1024')
    const args = ['-f', '-', '-s', server.url, '--add-header', `x=${'y'.repeat(200)}`]
    const { code, log } = await runFalcoNats(args, { input: ALERT.padEnd(900) })
    expect(code).toBe(1)
    expect(log.at(-1)).toMatchObject({ reasons: { exceeds_max_payload: 1 }, left: 0 })
  })
})
