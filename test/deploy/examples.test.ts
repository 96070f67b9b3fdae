// deploy/examples against real servers: the account lets a forwarder do its work and nothing else,
// the stream is taken, and the files agree with each other.

import { execFileSync, spawnSync } from 'node:child_process'
import { writeFileSync } from 'node:fs'
import { connect, type NatsConnection, nkeys } from 'nats'
import { describe, expect, it } from 'vitest'
import { parseAllDocuments } from 'yaml'
import { falcoNats, runFalcoNats, stopped } from '../support/cli.ts'
import {
  example,
  exampleNats,
  exampleStream,
  exampleText,
  type Permissions,
} from '../support/examples.ts'
import { fixturePath, numberedAlert } from '../support/fixtures.ts'
import { REQUEST_MS, startCluster, startNats } from '../support/nats.ts'
import { tempDir } from '../support/temp.ts'
import { until } from '../support/wait.ts'

const JETSTREAM = ['--jetstream', '--stream', 'FALCO']
const CREATE = ['--jetstream', '--create-stream']
const CREATE_SUBJECTS = ['$JS.API.STREAM.INFO.FALCO', '$JS.API.STREAM.CREATE.FALCO']

type Answer = {
  error?: { description: string }
  config: Record<string, unknown>
  state: { messages: number }
}

async function ask(connection: NatsConnection, operation: string, request: object = {}) {
  const reply = await connection.request(`$JS.API.${operation}`, JSON.stringify(request), {
    timeout: REQUEST_MS,
  })
  return reply.json<Answer>()
}

/** A server of the example, a seed file, and the arguments of a sidecar for it. */
async function forExample({ change = (_: Permissions) => {}, stream = true } = {}) {
  await using stack = new AsyncDisposableStack()
  const nats = exampleNats(change)
  const dir = stack.use(tempDir())
  writeFileSync(dir.file('nats.nk'), nats.secret['nats.nk'])
  // The oldest server on PATH, or the newest where .ci/run has got one.
  const server = stack.use(await startNats(nats.config, serverOption))
  const admin = await connect({ servers: server.url, ...nats.admin, inboxPrefix: '_INBOX_admin' })
  stack.defer(() => admin.close())
  if (stream) {
    const made = await ask(admin, 'STREAM.CREATE.FALCO', { ...exampleStream(), num_replicas: 1 })
    expect(made.error).toBeUndefined()
  }
  const login = ['--nkey', dir.file('nats.nk'), '--inbox-prefix', '_INBOX_falco']
  const args = ['-f', '-', '-s', `tls://localhost:${server.port}`, ...login]
  const held = stack.move()
  return {
    nats,
    server,
    admin,
    args: [...args, '--tlsca', fixturePath('tls/ca.crt')],
    [Symbol.asyncDispose]: () => held.disposeAsync(),
  }
}

const serverOption = process.env.NATS_SERVER_NEW ? { program: process.env.NATS_SERVER_NEW } : {}

describe('the forwarder of nats-values.yaml', () => {
  it.each([
    ['core NATS', []],
    ['JetStream', JETSTREAM],
  ])('delivers by %s', async (_, mode) => {
    await using it = await forExample()
    const { code, log } = await runFalcoNats([...it.args, ...mode], { input: numberedAlert(0) })
    expect(log.at(-1)).toMatchObject({ delivered: 1 })
    expect(code).toBe(0)
    expect((await ask(it.admin, 'STREAM.INFO.FALCO')).state.messages).toBe(1)
  })

  it('may look whether the stream is there', async () => {
    await using it = await forExample()
    const { code, stdout } = await runFalcoNats([...it.args, ...JETSTREAM, '--check'])
    expect(stdout.toString()).toMatch(/^ok {4}stream: FALCO takes /m)
    expect(code).toBe(0)
  })

  it('may make the stream with the two subjects that are commented out', async () => {
    for (const subject of CREATE_SUBJECTS)
      expect(exampleText('nats-values.yaml')).toContain(`# - ${subject}\n`)
    await using it = await forExample({
      stream: false,
      change: ({ publish }) => publish.allow.push(...CREATE_SUBJECTS),
    })
    const { code } = await runFalcoNats([...it.args, ...CREATE], { input: numberedAlert(0) })
    expect(code).toBe(0)
    expect((await ask(it.admin, 'STREAM.INFO.FALCO')).state.messages).toBe(1)
  })

  it('needs each subject that it is allowed', async () => {
    const without = (subject: string, mode: string[], more: string[] = []) =>
      forExample({
        stream: mode !== CREATE,
        change({ publish, subscribe }) {
          publish.allow = [...publish.allow, ...more].filter((name) => name !== subject)
          // An empty list would allow all.
          if (subscribe.allow.includes(subject)) subscribe.allow = ['nothing']
        },
      })
    const { publish, subscribe }: Permissions =
      example('nats-values.yaml')[0].config.merge.accounts.falco.users[0].permissions
    expect([publish.allow, subscribe.allow]).toEqual([
      ['falco.>', '$JS.API.STREAM.NAMES'],
      ['_INBOX_falco.*.*'],
    ])
    {
      await using it = await without('falco.>', [])
      const { code, log } = await runFalcoNats(it.args, { input: numberedAlert(0) })
      expect([code, log.at(-1)]).toEqual([1, expect.objectContaining({ delivered: 0 })])
    }
    {
      await using it = await without('$JS.API.STREAM.NAMES', JETSTREAM)
      const { code, stdout } = await runFalcoNats([...it.args, ...JETSTREAM, '--check'])
      expect([code, stdout.toString()]).toEqual([
        1,
        expect.stringMatching(/FAIL {2}stream: .*Permissions/),
      ])
    }
    {
      await using it = await without('_INBOX_falco.*.*', JETSTREAM)
      await using running = falcoNats([...it.args, ...JETSTREAM])
      running.child.stdin.end(`${numberedAlert(0)}\n`)
      expect(await running.logged('does not answer')).toMatchObject({ trouble: 'timeout' })
    }
    for (const subject of CREATE_SUBJECTS) {
      await using it = await without(subject, CREATE, CREATE_SUBJECTS)
      await using running = falcoNats([...it.args, ...CREATE])
      expect((await running.logged('cannot make the stream')).reason).toContain(subject)
    }
  })

  it('may not read, change or delete an alert, nor send anything else', async () => {
    await using it = await forExample()
    await using forwarder = await connect({ servers: it.server.url, ...it.nats.forwarder })
    const denied: string[] = []
    void (async () => {
      for await (const status of forwarder.status())
        if (status.type === 'error') denied.push(status.error.message)
    })()
    const seen: string[] = []
    for (const subject of ['falco.>', '>', '_INBOX.>', '_INBOX_admin.>', '$JS.ACK.>'])
      forwarder.subscribe(subject, {
        callback(error, message) {
          if (!error) seen.push(message.subject)
        },
      })
    const api = [
      'STREAM.PURGE',
      'STREAM.DELETE',
      'STREAM.UPDATE',
      'STREAM.MSG.GET',
      'STREAM.MSG.DELETE',
      'CONSUMER.CREATE',
    ]
    const forbidden = [
      ...api.map((name) => `$JS.API.${name}.FALCO`),
      'other.subject',
      '$SYS.REQ.SERVER.PING',
    ]
    forwarder.publish('falco.notice.x', 'one')
    for (const subject of forbidden) forwarder.publish(subject, '{}')
    await forwarder.flush()
    await until('all are denied', () => denied.length >= 5 + forbidden.length)
    for (const subject of forbidden)
      expect(
        denied.some((text) => text.toLowerCase().includes(`publish to "${subject.toLowerCase()}"`)),
        subject,
      ).toBe(true)
    expect((await ask(it.admin, 'STREAM.INFO.FALCO')).state.messages).toBe(1)
    expect(seen).toEqual([])
  })
})

it('takes stream.yaml in a cluster of three, and delivers to it over the loss of a node', async () => {
  const nats = exampleNats()
  await using cluster = await startCluster(3, nats.config, nats.admin)
  using dir = tempDir()
  writeFileSync(dir.file('nats.nk'), nats.secret['nats.nk'])
  const servers = cluster.nodes.map(({ port }) => `tls://localhost:${port}`)
  await using admin = await connect({
    servers: cluster.nodes.map(({ url }) => url),
    ...nats.admin,
  })
  const made = await until('the cluster makes the stream', async () => {
    const answer = await ask(admin, 'STREAM.CREATE.FALCO', exampleStream()).catch(() => undefined)
    return answer?.config && answer
  })
  expect(made.config).toMatchObject(exampleStream())
  await using running = falcoNats([
    '-f',
    '-',
    '-s',
    servers.join(','),
    '--nkey',
    dir.file('nats.nk'),
    '--inbox-prefix',
    '_INBOX_falco',
    '--tlsca',
    fixturePath('tls/ca.crt'),
    ...JETSTREAM,
  ])
  running.child.stdin.write(`${numberedAlert(0)}\n`)
  const stored = (count: number) => async () =>
    (await ask(admin, 'STREAM.INFO.FALCO').catch(() => undefined))?.state?.messages === count
  await until('one is stored', stored(1))
  await cluster.nodes[0]!.stop('SIGKILL')
  running.child.stdin.write(`${numberedAlert(1)}\n`)
  await until('the second is stored', stored(2))
  expect(await stopped(running)).toMatchObject({ code: 0, last: { delivered: 2 } })
})

describe('the files agree', () => {
  const [nats] = example('nats-values.yaml')
  const [nack] = example('nack-values.yaml')
  const [falco] = example('falco-values.yaml')
  const [stream] = example('stream.yaml')
  const certificate = example('nats-tls.yaml').find(({ metadata }) => metadata.name === 'nats-tls')
  const { natsOutput } = falco.falco

  it('on the names in the certificate', () => {
    for (const url of [natsOutput.server, nack.jetstream.nats.url])
      expect(certificate.spec.dnsNames).toContain(new URL(url).hostname)
    const { cluster, nats: client } = nats.config
    for (const { secretName } of [cluster.tls, client.tls, nats.tlsCA, nack.jetstream.tls])
      expect(secretName).toBe(certificate.spec.secretName)
  })

  it('on the stream and its room', () => {
    expect(natsOutput.stream).toBe(stream.spec.name)
    expect(stream.spec.replicas).toBe(nats.config.cluster.replicas)
    const { size } = nats.config.jetstream.fileStore.pvc
    expect(stream.spec.maxBytes).toBeLessThan(Number.parseInt(size, 10) * 1024 ** 3)
  })

  it('on the Secrets that the README makes', () => {
    const made = [...exampleText('README.md').matchAll(/-n (\w+) create secret generic (\S+)/g)]
    expect(made.map(([, namespace, name]) => `${namespace}/${name}`)).toEqual([
      'nats/nats-admin',
      'falco/falco-nats',
      'falco/falco-nats-respond',
    ])
    expect(natsOutput.nkey.secretName).toBe('falco-nats')
    expect(natsOutput.tlsCA.secretName).toBe('falco-nats')
    expect(nack.jetstream.nats.nkey.secret.name).toBe('nats-admin')
    expect(nats.natsBox.contexts.default.nkey.secretName).toBe('nats-admin')
  })
})

// Set by whoever has them: a helm, and the unpacked chart of nats-io/k8s.
const { HELM3 = 'helm', NATS_CHART = '' } = process.env
const hasChart = NATS_CHART !== '' && spawnSync(HELM3, ['version']).status === 0
if (!hasChart) console.warn('skipped: the chart of NATS, since NATS_CHART or HELM3 names none')

describe.skipIf(!hasChart)('the chart of NATS', () => {
  const values = new URL('../../deploy/examples/nats-values.yaml', import.meta.url).pathname
  const rendered = () =>
    execFileSync(HELM3, ['template', 'nats', NATS_CHART, '-n', 'nats', '-f', values], {
      encoding: 'utf8',
    })
  const newKey = () => nkeys.createUser().getPublicKey()

  it.each([
    ['with all keys', newKey(), 0],
    ['not without one', '', 1],
  ])('makes a configuration that nats-server takes: %s', (_, ADMIN_NKEY, status) => {
    using dir = tempDir()
    const { data } = parseAllDocuments(rendered())
      .map((document) => document.toJS())
      .find((manifest) => manifest?.data?.['nats.conf'])
    const tls = (name: string) => fixturePath(`tls/${name}`)
    const here = data['nats.conf']
      .replace(/\/etc\/nats-certs\/\w+\/tls\.(crt|key)/g, tls('server.$1'))
      .replaceAll('/etc/nats-ca-cert/ca.crt', tls('ca.crt'))
      .replace('"/data"', `"${dir.path}"`)
      .replace('/var/run/nats/nats.pid', dir.file('pid'))
    writeFileSync(dir.file('nats.conf'), here)
    const ran = spawnSync(
      serverOption.program ?? 'nats-server',
      ['-t', '-c', dir.file('nats.conf')],
      {
        env: {
          PATH: process.env.PATH,
          SERVER_NAME: 'nats-0',
          FORWARDER_NKEY: newKey(),
          RESPONDER_NKEY: newKey(),
          ADMIN_NKEY,
        },
        encoding: 'utf8',
      },
    )
    expect([ran.status, ran.stderr]).toEqual([
      status,
      expect.stringMatching(status ? /User entry requires/ : /is valid/),
    ])
  })
})
