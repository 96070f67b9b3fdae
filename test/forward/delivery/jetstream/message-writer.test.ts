// What a server makes of the messages, and when they are known to have reached it.

import { hash } from 'node:crypto'
import { setImmediate as turn } from 'node:timers/promises'
import { connect, type Msg } from 'nats'
import { expect, it } from 'vitest'
import {
  createMessageWriter,
  sizeWithId,
} from '../../../../src/forward/delivery/jetstream/message-writer.ts'
import { systemClock } from '../../../../src/shared/clock.ts'
import { batchOf } from '../../../support/batches.ts'
import { alertLines, numberedAlert } from '../../../support/fixtures.ts'
import { startNats } from '../../../support/nats.ts'
import { dial } from '../../../support/sessions.ts'
import { until } from '../../../support/wait.ts'

async function setUp() {
  await using stack = new AsyncDisposableStack()
  const server = stack.use(await startNats())
  const subscriber = stack.use(await connect({ servers: server.url }))
  const messages: Msg[] = []
  subscriber.subscribe('falco.>', { callback: (_, message) => void messages.push(message) })
  await subscriber.flush()
  const session = stack.use(await dial(server.url))
  const rest = stack.move()
  return {
    session,
    writer: createMessageWriter(session, systemClock),
    messages,
    count: (count: number) => until(`${count} have come`, () => messages.length >= count),
    [Symbol.asyncDispose]: () => rest.disposeAsync(),
  }
}

const idOf = (line: string) => hash('sha256', line, 'base64url').slice(0, 22)
const HEADERS = 'NATS/1.0\r\nFalco-Rule: r\r\n\r\n'

it.each([
  ['without headers', undefined, []],
  ['with headers', HEADERS, ['Falco-Rule']],
])(
  'sends an alert to the byte, with its id and a reply subject, %s',
  async (_, headers, others) => {
    await using set = await setUp()
    const lines = ['{"rule":"r","priority":"Error"}', numberedAlert(1), numberedAlert(2)]
    const batch = batchOf(lines, 'falco.error.r', headers)
    expect(lines.map((_, n) => set.writer.add(batch, n, `reply.${n}`))).toEqual([1, 2, 3])
    await set.count(3)
    for (const [n, { subject, data, reply, headers: got }] of set.messages.entries()) {
      expect([subject, reply]).toEqual(['falco.error.r', `reply.${n}`])
      expect(Buffer.from(data).toString()).toBe(lines[n])
      expect(got!.keys()).toEqual(['Nats-Msg-Id', ...others])
      expect(got!.get('Nats-Msg-Id')).toBe(idOf(lines[n]!))
      expect(sizeWithId(batch, n)).toBe(data.length + got!.toString().length)
    }
  },
)

it('sends what takes many pieces of memory, and more than a piece, in order', async () => {
  await using set = await setUp()
  const large = numberedAlert(7).padEnd(200_000)
  const lines = [...alertLines().map(String), large, numberedAlert(8)].filter(
    (line) => line.includes('"priority"') && line.includes('"rule"'),
  )
  const batch = batchOf(lines)
  for (const n of lines.keys()) set.writer.add(batch, n, 'r')
  await set.count(lines.length)
  expect(set.messages.map(({ data }) => Buffer.from(data).toString())).toEqual(lines)
})

it('knows what has arrived when the server has confirmed it, once at a time', async () => {
  await using set = await setUp()
  const batch = batchOf([numberedAlert(0), numberedAlert(1)])
  const arrivals: number[] = []
  const confirm = () => set.writer.confirm(() => arrivals.push(set.writer.arrived()))
  confirm()
  await turn()
  expect(arrivals).toEqual([])
  set.writer.add(batch, 0, 'r')
  confirm()
  set.writer.add(batch, 1, 'r')
  confirm()
  expect(set.writer.arrived()).toBe(0)
  await until('both have arrived', () => set.writer.arrived() === 2)
  expect(arrivals).toEqual([1, 2])
})
