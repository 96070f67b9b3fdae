// The responder of deploy/examples/nats-values.yaml on a real server: it does its work with what it is
// allowed, needs each line of that, and may do nothing else.

import { writeFileSync } from 'node:fs'
import { Objm } from '@nats-io/obj'
import { connect } from 'nats'
import { describe, expect, it } from 'vitest'
import { parse } from 'yaml'
import { falcoNats } from '../support/cli.ts'
import {
  createExampleStream,
  example,
  exampleNats,
  exampleText,
  type Permissions,
} from '../support/examples.ts'
import { fixturePath, numberedAlert } from '../support/fixtures.ts'
import { startHttpServer } from '../support/http-server.ts'
import { askJetStream, readStream, startNats } from '../support/nats.ts'
import { tempDir } from '../support/temp.ts'
import { until } from '../support/wait.ts'

const MAIN = new URL('../../src/respond/main.ts', import.meta.url).pathname
const { NATS_SERVER_NEW } = process.env
const REFUSED = 'the NATS server refuses something'

const { publish, subscribe }: Permissions =
  example('nats-values.yaml')[0].config.merge.accounts.falco.users[1].permissions

/** Those that are commented out. */
const LOGS = [...exampleText('nats-values.yaml').matchAll(/# - (\S+falco-logs\S*)\n/g)].map(
  ([, subject]) => subject!,
)

const without = (subject: string) => (permissions: Permissions) => {
  const { publish, subscribe } = permissions
  publish.allow = publish.allow.filter((one) => one !== subject)
  // An empty list would allow all.
  if (subscribe.allow.includes(subject)) subscribe.allow = ['nothing']
}

/** A server of the example with its stream. */
async function forExample(change?: (_: Permissions) => void) {
  await using stack = new AsyncDisposableStack()
  const nats = exampleNats(undefined, change)
  // The oldest server on PATH, or the newest where .ci/run has got one.
  const program = NATS_SERVER_NEW ? { program: NATS_SERVER_NEW } : {}
  const server = stack.use(await startNats(nats.config, program))
  await createExampleStream(server.url, nats.admin)
  const held = stack.move()
  return { nats, server, [Symbol.asyncDispose]: () => held.disposeAsync() }
}

/** A responder at work, whose webhook fails at first for the rule `first`, and for ever for `second`. */
async function respond(change?: (_: Permissions) => void) {
  await using stack = new AsyncDisposableStack()
  const { nats, server } = stack.use(await forExample(change))
  const dir = stack.use(tempDir())
  const hook = stack.use(await startHttpServer())
  let calls = 0
  hook.answer = (response, { body }) => {
    const { rule } = JSON.parse(body)
    response.writeHead(rule === 'second' || calls++ === 0 ? 500 : 200).end()
  }
  writeFileSync(dir.file('nats.nk'), nats.respondSecret['nats.nk'])
  const steps = `[{ webhook: { url: "${hook.url}/" } }]`
  writeFileSync(
    dir.file('p.yaml'),
    `dryRun: false
playbooks:
  - { name: call, on: [falco.notice.>], maxDeliver: 2, steps: ${steps} }
  - { name: several, on: [falco.error.x, falco.warning.x], steps: ${steps} }
`,
  )
  const login = ['--nkey', dir.file('nats.nk'), '--inbox-prefix', '_INBOX_respond']
  const url = `tls://localhost:${server.port}`
  const args = ['--config', dir.file('p.yaml'), '--server', url, ...login]
  const running = stack.use(
    falcoNats([...args, '--tlsca', fixturePath('tls/ca.crt')], {
      program: [process.execPath, MAIN],
    }),
  )
  const held = stack.move()
  return {
    running,
    pending: async () => {
      const path = 'CONSUMER.INFO.FALCO.falco-respond-call'
      return (await askJetStream(server.url, path, {}, nats.admin)) as unknown as {
        num_ack_pending: number
        num_pending: number
      }
    },
    stored: async () =>
      (await readStream(server.url, 'FALCO', nats.admin)).map(({ subject }) => subject),
    async raise(...rules: string[]) {
      await until('the playbook has its consumer', () =>
        running
          .log()
          .some(({ msg, playbook }) => msg === 'waiting for alerts' && playbook === 'call'),
      )
      await using admin = await connect({ servers: server.url, ...nats.admin })
      for (const rule of rules) admin.publish(`falco.notice.${rule}`, numberedAlert(0, rule))
      await admin.flush()
    },
    [Symbol.asyncDispose]: () => held.disposeAsync(),
  }
}

it('acts, tries again, and gives up into the dead letters', async () => {
  await using it = await respond()
  await until(
    'both have their consumers',
    () => it.running.log().filter(({ msg }) => msg === 'waiting for alerts').length === 2,
  )
  await it.raise('first', 'second')
  await it.running.logged('gave up an alert')
  await it.running.logged('a step is done')
  await until('all is acknowledged', async () => (await it.pending()).num_ack_pending === 0)
  expect((await it.stored()).toSorted()).toEqual(
    [
      'falco.dead_letter.call',
      ...Array(3).fill('falco.response.call.webhook.failed'),
      'falco.response.call.webhook.ok',
      'falco.notice.first',
      'falco.notice.second',
    ].toSorted(),
  )
  expect(it.running.log().filter(({ msg }) => msg === REFUSED)).toEqual([])
  it.running.child.kill('SIGTERM')
  expect(await it.running.exited()).toBe(0)
})

/** What is said when a line is missing, beside that the server refuses it. */
const SAID: Record<string, { says: string; alerts: string[] }> = {
  'falco.response.>': { says: 'a step is done', alerts: ['first'] },
  'falco.dead_letter.*': { says: 'cannot send a dead letter', alerts: ['second'] },
  '$JS.API.STREAM.NAMES': { says: 'cannot ask JetStream', alerts: [] },
  // Its bucket would have one copy, whatever the stream has.
  '$JS.API.STREAM.INFO.FALCO': { says: 'waiting for alerts', alerts: [] },
  '$JS.API.CONSUMER.INFO.FALCO.*': { says: 'cannot get alerts', alerts: [] },
  '$JS.API.CONSUMER.CREATE.FALCO.>': { says: 'cannot get alerts', alerts: [] },
  '$JS.API.CONSUMER.DURABLE.CREATE.FALCO.*': { says: 'cannot get alerts', alerts: [] },
  '$JS.API.CONSUMER.MSG.NEXT.FALCO.*': { says: 'cannot get alerts', alerts: [] },
  '$JS.ACK.FALCO.>': { says: 'will be tried again', alerts: ['first'] },
  '$JS.API.INFO': { says: 'will be tried again', alerts: ['first'] },
  '$JS.API.STREAM.INFO.KV_falco-respond-respond': {
    says: 'will be tried again',
    alerts: ['first'],
  },
  '$JS.API.STREAM.CREATE.KV_falco-respond-respond': {
    says: 'will be tried again',
    alerts: ['first'],
  },
  '$JS.API.STREAM.MSG.GET.KV_falco-respond-respond': {
    says: 'will be tried again',
    alerts: ['first'],
  },
  '$KV.falco-respond-respond.>': { says: 'will be tried again', alerts: ['first'] },
  '_INBOX_respond.>': { says: 'cannot ask JetStream', alerts: [] },
}

/** Playbooks of several subjects have it from nats-server 2.10; before, a filter that covers them. */
const NEWER = '$JS.API.CONSUMER.DURABLE.CREATE.FALCO.*'
if (!NATS_SERVER_NEW)
  console.warn(`skipped: that the responder needs ${NEWER}, since NATS_SERVER_NEW names no server`)

describe('each line', () => {
  it('is looked at', () => {
    expect([...publish.allow, ...subscribe.allow].toSorted()).toEqual(Object.keys(SAID).toSorted())
  })

  for (const [line, { says, alerts }] of Object.entries(SAID))
    it.skipIf(line === NEWER && !NATS_SERVER_NEW)(`is needed: ${line}`, async () => {
      await using it = await respond(without(line))
      const stem = line.replace(/[.][*>]$/, '')
      if (alerts.length > 0) await it.raise(...alerts)
      await until('it is refused', () =>
        it.running
          .log()
          .some(({ msg, reason }) => msg === REFUSED && String(reason).includes(`"${stem}`)),
      )
      await it.running.logged(says)
      if (line === 'falco.response.>') expect(await it.stored()).toEqual(['falco.notice.first'])
      if (line === '$JS.ACK.FALCO.>') expect((await it.pending()).num_ack_pending).toBe(1)
    })
})

it('keeps logs in a bucket with the lines that are commented out, and needs each', async () => {
  expect(LOGS).toHaveLength(5)
  /** How many messages the bucket holds; or what was refused. */
  async function keep(lines: string[]): Promise<number | string> {
    await using it = await forExample(({ publish }) => publish.allow.push(...lines))
    await using responder = await connect({
      servers: it.server.url,
      ...it.nats.responder,
      inboxPrefix: '_INBOX_respond',
    })
    try {
      const store = await new Objm(responder).create('falco-logs')
      // As capture-logs does, over what was there from the delivery before.
      for (const text of ['one', 'two'])
        await store.putBlob({ name: 'a/b.log' }, new TextEncoder().encode(text))
    } catch (error) {
      return (error as Error).message
    }
    const path = 'STREAM.INFO.OBJ_falco-logs'
    return (await askJetStream(it.server.url, path, {}, it.nats.admin)).state.messages
  }
  // What it is made of, and what it is called.
  expect(await keep(LOGS)).toBe(2)
  for (const line of LOGS) {
    const kept = await keep(LOGS.filter((one) => one !== line))
    // What was there before would stay for ever.
    if (line.includes('.PURGE.')) expect(kept).toBe(3)
    else
      expect(kept, line).toContain(`Permissions Violation for Publish to "${line.replace('>', '')}`)
  }
})

it('may not raise an alert, delete or change the stream, nor hear what is not for it', async () => {
  await using it = await forExample()
  await using responder = await connect({ servers: it.server.url, ...it.nats.responder })
  const denied: string[] = []
  void (async () => {
    for await (const status of responder.status())
      if (status.type === 'error') denied.push(status.error.message.toLowerCase())
  })()
  const unheard = ['falco.>', '>', '_INBOX.>', '_INBOX_falco.>', '$JS.ACK.>']
  for (const subject of unheard) responder.subscribe(subject, { callback() {} })
  const api = ['PURGE', 'DELETE', 'UPDATE', 'MSG.GET', 'MSG.DELETE'].flatMap((name) =>
    ['FALCO', 'KV_falco-respond-respond']
      .filter((stream) => !publish.allow.includes(`$JS.API.STREAM.${name}.${stream}`))
      .map((stream) => `$JS.API.STREAM.${name}.${stream}`),
  )
  const forbidden = [
    ...api,
    '$JS.API.STREAM.CREATE.OTHER',
    '$JS.API.CONSUMER.DELETE.FALCO.falco-respond-call',
    '$JS.API.CONSUMER.CREATE.KV_falco-respond-respond',
    'falco.critical.x',
    'falco.notice.x',
    'other.subject',
  ]
  for (const subject of forbidden) responder.publish(subject, '{}')
  await responder.flush()
  await until('all are denied', () => denied.length >= unheard.length + forbidden.length)
  for (const subject of forbidden)
    expect(denied, subject).toContainEqual(
      expect.stringContaining(`publish to "${subject.toLowerCase()}"`),
    )
  for (const subject of unheard)
    expect(denied, subject).toContainEqual(
      expect.stringContaining(`subscription to "${subject.toLowerCase()}"`),
    )
  const { state } = await askJetStream(it.server.url, 'STREAM.INFO.FALCO', {}, it.nats.admin)
  expect(state.messages).toBe(0)
})

it("is what the chart's values in the README log in as", () => {
  const [, text] = /```yaml\n(respond:\n[^`]*)```/.exec(exampleText('README.md'))!
  const { respond } = parse(text!)
  expect(`${respond.inboxPrefix}.>`).toBe(subscribe.allow[0])
  expect(exampleText('README.md')).toContain(`create secret generic ${respond.nkey.secretName} `)
  expect(respond.tlsCA.secretName).toBe(respond.nkey.secretName)
})
