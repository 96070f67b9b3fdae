// The durable consumer of a playbook, as real nats-servers of both generations have it.

import { describe, expect, it } from 'vitest'
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
import type { NatsServer } from '../../support/nats.ts'

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
})
