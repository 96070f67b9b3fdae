// What is written before its batch is full: known to arrive at once, and once.

import { expect, it } from 'vitest'
import { createCoreNats } from '../../../src/forward/delivery/core-nats.ts'
import { openSession } from '../../../src/forward/delivery/session.ts'
import { createBatchPool } from '../../../src/forward/encoding/batch.ts'
import { createEncoder } from '../../../src/forward/encoding/encoder.ts'
import { parseAlert } from '../../../src/shared/alert/alert.ts'
import { systemClock } from '../../../src/shared/clock.ts'
import { parseServers } from '../../../src/shared/nats/servers.ts'
import { alertLines } from '../../support/fixtures.ts'
import { startNats, subscribe } from '../../support/nats.ts'

const coreNats = createCoreNats(systemClock)
const never = new AbortController().signal
const dial = (url: string) =>
  openSession(parseServers(url)[0]!, {}, { name: 'test', inboxPrefix: '_INBOX' }, never)

function fill() {
  const encoder = createEncoder(() => 'falco.test')
  const batch = createBatchPool(64 * 1024).borrow()
  const lines = alertLines().filter((line) => typeof parseAlert(line, 0, line.length) !== 'string')
  const add = (line: Buffer) => encoder.addLines(batch, line)
  return { batch, lines, add }
}

it('writes what has come so far, and with the rest nothing twice', async () => {
  await using server = await startNats()
  await using subscriber = await subscribe(server.url)
  const session = await dial(server.url)
  const { batch, lines, add } = fill()
  const sent = lines.slice(0, 4)
  for (const [from, line] of sent.slice(0, 3).entries()) {
    add(line)
    expect(coreNats.writePartial!(session, batch, from)).toBe(true)
  }
  await subscriber.count(3)
  add(sent[3]!)
  expect(await coreNats.publish(session, batch, 3)).toEqual([])
  await subscriber.count(4)
  expect(subscriber.messages.map(({ data }) => data.toString())).toEqual(sent.map(String))
  session.close()
})

it('writes all of it to another session', async () => {
  await using server = await startNats()
  await using subscriber = await subscribe(server.url)
  const { batch, lines, add } = fill()
  add(lines[0]!)
  const first = await dial(server.url)
  coreNats.writePartial!(first, batch, 0)
  await subscriber.count(1)
  first.close()
  add(lines[1]!)
  const second = await dial(server.url)
  await coreNats.publish(second, batch, 0)
  await subscriber.count(3)
  expect(subscriber.messages.map(({ data }) => data.toString())).toEqual(
    [lines[0], lines[0], lines[1]].map(String),
  )
  second.close()
})

it('leaves a batch alone in which something is too large, and refuses only that', async () => {
  await using server = await startNats('max_payload: 4096')
  await using subscriber = await subscribe(server.url)
  const session = await dial(server.url)
  const { batch, lines, add } = fill()
  const small = lines.filter(({ length }) => length < 4096)
  add(small[0]!)
  expect(coreNats.writePartial!(session, batch, 0)).toBe(true)
  add(Buffer.from(`{"rule":"r","priority":"Error","output":"${'x'.repeat(5000)}"}`))
  add(small[1]!)
  expect(coreNats.writePartial!(session, batch, 1)).toBe(false)
  const refused = await coreNats.publish(session, batch, 1)
  expect(refused.map(({ reason }) => reason)).toEqual(['exceeds_max_payload'])
  await subscriber.count(2)
  expect(subscriber.messages.map(({ data }) => data.toString())).toEqual(
    [small[0], small[1]].map(String),
  )
  session.close()
})
