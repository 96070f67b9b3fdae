// The durable consumer of a playbook, as real nats-servers of both generations have it.

import { connect } from 'nats'
import { describe, expect, it } from 'vitest'
import { bindConsumer } from '../../../src/respond/intake/consumer.ts'
import {
  bound,
  consumerState,
  GENERATIONS,
  isDone,
  publish,
  start,
  withJetStream,
} from '../../support/consuming.ts'
import { fakeStep, openEngine, planOf, playbookOf } from '../../support/engine.ts'
import { askJetStream, createStream, type NatsServer } from '../../support/nats.ts'

describe.each(GENERATIONS)('with nats-server %s', (_name, program) => {
  const test = it.skipIf(program === undefined)
  const withServer = (act: (server: NatsServer) => Promise<void>) =>
    withJetStream(act, { program: program! })

  test('has an existing consumer let through what the playbook wants now', () =>
    withServer(async ({ url }) => {
      const subjects = [
        ['falco.error.a'],
        ['falco.notice.>', 'falco.critical.>'],
        ['falco.critical.>'],
      ]
      for (const on of subjects) {
        const playbook = playbookOf([fakeStep(() => 'done')], { on })
        await using engine = await openEngine(url, planOf([playbook]))
        const { finished } = start(engine, playbook)
        await bound(engine)
        const { config } = await consumerState(url)
        // The older one cannot go from a literal filter to wildcards.
        if (program === 'nats-server' && on[0]?.endsWith('>'))
          expect(config.filter_subject).toBeUndefined()
        else if (on.length === 1) expect(config.filter_subject).toBe(on[0])
        else expect(config.filter_subjects).toEqual(on)
        for (const subject of on) await publish(url, 1, subject.replace('>', 'x'))
        await isDone(engine, on.length)
        engine.stop.abort()
        await finished
      }
    }))

  const bind = async (url: string, subjects: string[], since?: Date) => {
    await using connection = await connect({ servers: url })
    await bindConsumer(connection, 'ALERTS', 'falco-nats-test', subjects, since)
    return (await consumerState(url)).config
  }

  test('begins with what is new, or with what came since it was last there', () =>
    withServer(async ({ url }) => {
      expect(await bind(url, ['falco.>'])).toMatchObject({
        deliver_policy: 'new',
        max_deliver: -1,
        max_ack_pending: 50_000,
      })
      await askJetStream(url, 'CONSUMER.DELETE.ALERTS.falco-nats-test')
      const since = new Date('2026-11-21T12:00:00Z')
      expect(await bind(url, ['falco.>'], since)).toMatchObject({
        deliver_policy: 'by_start_time',
        opt_start_time: '2026-11-21T12:00:00Z',
      })
      // What is there is taken as it is.
      expect(await bind(url, ['falco.>'])).toMatchObject({ deliver_policy: 'by_start_time' })
    }))

  test('lets all through where the stream has less than what covers the subjects', () =>
    withJetStream(
      async ({ url }) => {
        const subjects = ['falco.x.a', 'falco.x.b']
        await createStream(url, { subjects: ['falco.*.a', 'falco.*.b'] })
        const { filter_subject, filter_subjects } = await bind(url, subjects)
        expect(filter_subject).toBeUndefined()
        expect(filter_subjects).toEqual(program === 'nats-server' ? undefined : subjects)
      },
      { program: program!, stream: false },
    ))

  test('fails where there is no such stream', () =>
    withJetStream(({ url }) => expect(bind(url, ['falco.>'])).rejects.toThrow('stream not found'), {
      program: program!,
      stream: false,
    }))
})
