// Dead letters, with and without a stream that takes them.

import { connect } from 'nats'
import { expect, it } from 'vitest'
import { sendDeadLetter } from '../../../src/respond/intake/dead-letter.ts'
import { withJetStream } from '../../support/consuming.ts'
import { arrivalOf, SUBJECT } from '../../support/engine.ts'
import { readStream, startNats, subscribe } from '../../support/nats.ts'

it('stores the alert as it came, and why', () =>
  withJetStream(async ({ url }) => {
    await using connection = await connect({ servers: url })
    await sendDeadLetter(connection, 'test', arrivalOf(1, 3), 'was\r\nim\u00fcr')
    const [dead] = await readStream(url)
    expect(dead?.subject).toBe('falco.dead_letter.test')
    expect(dead?.data).toEqual(arrivalOf(1).payload)
    expect(dead?.headers?.get('Falco-Respond-Reason')).not.toMatch(/[^ -~]/)
    expect(dead?.headers?.get('Falco-Respond-Subject')).toBe(SUBJECT)
    expect(dead?.headers?.get('Falco-Respond-Deliveries')).toBe('3')
    expect(dead?.headers?.has('Falco-Respond-Cut-From')).toBe(false)
  }))

it('publishes where no stream takes it, cut to what the server takes', async () => {
  await using server = await startNats('max_payload: 8192')
  await using connection = await connect({ servers: server.url })
  await using subscriber = await subscribe(server.url)
  const payload = Buffer.alloc(8192, 'x')
  await sendDeadLetter(connection, 'test', { ...arrivalOf(), payload }, 'too large'.repeat(100))
  await subscriber.count(1)
  const [dead] = subscriber.messages
  expect(dead?.data).toEqual(payload.subarray(0, 8192 - 2048))
  expect(dead?.headers?.get('Falco-Respond-Cut-From')).toBe('8192')
})

it('rejects where it could not be sent', async () => {
  await using server = await startNats()
  const connection = await connect({ servers: server.url })
  await connection.close()
  await expect(sendDeadLetter(connection, 'test', arrivalOf(), 'no')).rejects.toThrow()
})
