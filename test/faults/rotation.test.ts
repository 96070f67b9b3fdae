// Credentials that change while alerts flow, each with a real server: what the log gives as the reason,
// and that every alert arrives without a restart of ours.

import { copyFileSync, writeFileSync } from 'node:fs'
import { type ConnectionOptions, credsAuthenticator } from 'nats'
import { expect, it } from 'vitest'
import { falcoNats, type Running } from '../support/cli.ts'
import { fixture, fixturePath, numberedAlert } from '../support/fixtures.ts'
import { operatorMode } from '../support/jwt.ts'
import { createStream, type NatsServer, readStream, startNats, subscribe } from '../support/nats.ts'
import { countNumbered } from '../support/pipe.ts'
import { type Proxy as CutProxy, startProxy } from '../support/proxy.ts'
import { tempDir } from '../support/temp.ts'
import { until } from '../support/wait.ts'

const STEP = 50
const tls = (name: string) => fixturePath(`tls/${name}`)
const AUTHORITIES = Buffer.concat([fixture('tls/ca.crt'), fixture('tls/next-ca.crt')]).toString()
const tlsConfig = (name: string, more = '') =>
  `tls { cert_file: "${tls(`${name}.crt`)}", key_file: "${tls(`${name}.key`)}" ${more} }`
const SECRETS = /s3cr3t|SU[A-Z0-9]{56}|eyJ|PRIVATE/

/** Writes numbered alerts in steps, and waits for them. */
function feed(running: Running, messages: readonly { data: Buffer }[]) {
  let sent = 0
  return {
    write() {
      for (let n = 0; n < STEP; n++) running.child.stdin.write(`${numberedAlert(sent++)}\n`)
    },
    arrived: () =>
      until('all alerts have come', () => countNumbered(messages as never, sent).missing === 0),
    /** Ends, and looks at the books and at the log. */
    async end() {
      running.child.stdin.end()
      expect(await running.exited()).toBe(0)
      expect(running.log().at(-1)).toMatchObject({ read: sent, delivered: sent, left: 0 })
      expect(running.stderr()).not.toMatch(SECRETS)
      expect(running.log().every(({ msg }) => !msg.includes('bug'))).toBe(true)
    },
  }
}

interface Scene {
  readonly server: NatsServer
  /** Between us and the server: `cut` makes us dial again. */
  readonly proxy: CutProxy
  readonly file: (name: string) => string
  readonly running: () => Running
}

interface Rotation {
  config: string
  /** How the subscriber gets in, all the time. */
  subscriber: ConnectionOptions
  scheme?: string
  args: (file: (name: string) => string) => string[]
  /** Until we are kept out; and back in. */
  out: (scene: Scene) => unknown
  back: (scene: Scene) => unknown
  reason: RegExp
}

const operator = operatorMode()
const judge = operator.user()
const asJudge: ConnectionOptions = {
  authenticator: credsAuthenticator(new TextEncoder().encode(judge.creds)),
}
const revoked = operator.user()
const allowing = (...logins: string[]) =>
  `authorization { users: [{ user: judge, password: j }, ${logins.join()}] }`
const login = (password: string) => `{ user: falco, password: ${password} }`

const put = (file: (name: string) => string, name: string, from: string) =>
  copyFileSync(tls(from), file(name))

/** A server that asks for a certificate, and a client that has one. */
const MUTUAL_TLS = {
  config: tlsConfig('next-server', `, ca_file: "${tls('next-ca.crt')}", verify: true`),
  subscriber: {
    tls: {
      ca: AUTHORITIES,
      certFile: tls('next-client.crt'),
      keyFile: tls('next-client.key'),
    },
  },
  scheme: 'tls://',
  args: (file) => {
    put(file, 'cert', 'next-client.crt')
    put(file, 'key', 'next-client.key')
    return ['--tlsca', tls('next-ca.crt'), '--tlscert', file('cert'), '--tlskey', file('key')]
  },
} satisfies Partial<Rotation>

const ROTATIONS: Record<string, Rotation> = {
  'a user JWT that expires and is replaced on disk': {
    config: operator.config,
    subscriber: asJudge,
    args: (file) => {
      writeFileSync(file('creds'), operator.user().creds)
      return ['--creds', file('creds')]
    },
    out: ({ file, proxy, running }) => {
      writeFileSync(file('creds'), operator.user(5).creds)
      proxy.cut()
      return running().loggedReason(/^User Authentication Expired$/)
    },
    back: ({ file }) => writeFileSync(file('creds'), operator.user().creds),
    reason: /^--creds \S+ expired at 20\S+Z$/,
  },
  'a user JWT that is revoked': {
    config: operator.config,
    subscriber: asJudge,
    args: (file) => {
      writeFileSync(file('creds'), revoked.creds)
      return ['--creds', file('creds')]
    },
    out: ({ server }) => server.reload(operator.configWith({ revoked: [revoked] })),
    back: ({ file }) => writeFileSync(file('creds'), operator.user().creds),
    reason: /Authorization Violation$/i,
  },
  'creds that are only half written': {
    config: operator.config,
    subscriber: asJudge,
    args: (file) => {
      writeFileSync(file('creds'), operator.user().creds)
      return ['--creds', file('creds')]
    },
    out: ({ file, proxy }) => {
      writeFileSync(file('creds'), operator.user().creds.slice(0, 300))
      proxy.cut()
    },
    back: ({ file }) => writeFileSync(file('creds'), operator.user().creds),
    reason: /--creds \S+ does not hold what it should$/,
  },
  'a password, in a file that is empty for a moment': {
    config: allowing(login('s3cr3t1')),
    subscriber: { user: 'judge', pass: 'j' },
    args: (file) => {
      writeFileSync(file('password'), 's3cr3t1\n')
      return ['--user', 'falco', '--password-file', file('password')]
    },
    out: async ({ server, file, running }) => {
      server.reload(allowing(login('s3cr3t2')))
      await running().loggedReason(/Authorization Violation$/i)
      writeFileSync(file('password'), '')
    },
    back: ({ file }) => writeFileSync(file('password'), 's3cr3t2\n'),
    reason: /--password-file \S+ is empty$/,
  },
  'a certificate of another authority': {
    config: tlsConfig('server'),
    subscriber: { tls: { ca: AUTHORITIES } },
    scheme: 'tls://',
    args: (file) => {
      put(file, 'ca', 'ca.crt')
      return ['--tlsca', file('ca')]
    },
    out: ({ server, proxy }) => {
      server.reload(tlsConfig('next-server'))
      proxy.cut()
    },
    back: ({ file }) => put(file, 'ca', 'next-ca.crt'),
    reason: /unable to verify|self-signed|unable to get/,
  },
  'an authority in a file that is empty for a moment': {
    config: tlsConfig('server'),
    subscriber: { tls: { ca: AUTHORITIES } },
    scheme: 'tls://',
    args: (file) => {
      put(file, 'ca', 'ca.crt')
      return ['--tlsca', file('ca')]
    },
    out: ({ file, proxy }) => {
      writeFileSync(file('ca'), '')
      proxy.cut()
    },
    back: ({ file }) => put(file, 'ca', 'ca.crt'),
    reason: /--tlsca \S+ is empty$/,
  },
  'an authority that is half written': {
    config: tlsConfig('server'),
    subscriber: { tls: { ca: AUTHORITIES } },
    scheme: 'tls://',
    args: (file) => {
      put(file, 'ca', 'ca.crt')
      return ['--tlsca', file('ca')]
    },
    out: ({ file, proxy }) => {
      writeFileSync(file('ca'), fixture('tls/ca.crt').subarray(0, 200))
      proxy.cut()
    },
    back: ({ file }) => put(file, 'ca', 'ca.crt'),
    reason: /--tlsca \S+ cannot be used$/,
  },
  'a client certificate that has run out': {
    ...MUTUAL_TLS,
    out: ({ file, proxy }) => {
      put(file, 'cert', 'next-client-expired.crt')
      proxy.cut()
    },
    back: ({ file }) => put(file, 'cert', 'next-client.crt'),
    reason: /^--tlscert \S+ expired at 2024-01-02T00:00:00.000Z$/,
  },
  'a client certificate before its key': {
    ...MUTUAL_TLS,
    out: ({ file, proxy }) => {
      put(file, 'key', 'client.key')
      proxy.cut()
    },
    back: ({ file }) => put(file, 'key', 'next-client.key'),
    reason: /--tlscert \S+ and --tlskey \S+ do not belong together$/,
  },
}

it.each(Object.entries(ROTATIONS))('survives %s', async (_, rotation) => {
  const { config, subscriber: options, scheme = 'nats://', args, out, back, reason } = rotation
  using dir = tempDir()
  await using server = await startNats(config)
  await using proxy = await startProxy(server.port)
  await using subscriber = await subscribe(server.url, options)
  const url = proxy.url.replace('nats://', scheme)
  await using running = falcoNats(['-f', '-', '-s', url, ...args(dir.file)])
  const alerts = feed(running, subscriber.messages)
  alerts.write()
  await alerts.arrived()
  const scene = { server, proxy, file: dir.file, running: () => running }
  await out(scene)
  await running.logged('disconnected')
  alerts.write()
  await running.loggedReason(reason)
  alerts.write()
  await back(scene)
  await alerts.arrived()
  await alerts.end()
})

it('survives an account that is deleted and made again', async () => {
  using dir = tempDir()
  await using server = await startNats(operator.config)
  writeFileSync(dir.file('creds'), operator.creds)
  const args = ['-f', '-', '-s', server.url, '--creds', dir.file('creds')]
  await using running = falcoNats(args)
  await running.logged('connected')
  await server.stop()
  server.configure(operator.configWith({ withoutAccount: true }))
  await server.start()
  const alerts = feed(running, [])
  alerts.write()
  await running.loggedReason(/Authorization Violation$/i)
  server.reload(operator.config)
  await running.loggedTwice('connected')
  await alerts.end()
})

it.each([
  ['asks for TLS after a restart', '', tlsConfig('server')],
  ['no longer asks for it', tlsConfig('server'), ''],
])('follows a server that %s', async (_, before, after) => {
  const stream = 'jetstream { store_dir: "jetstream" }\n'
  await using server = await startNats(stream + before)
  const options = { tls: { ca: AUTHORITIES } }
  await createStream(server.url, {}, before ? options : {})
  // With nats:// the server decides; this is how a cluster adds an authority to those of the system.
  const env = { NODE_EXTRA_CA_CERTS: tls('ca.crt') }
  await using running = falcoNats(['-f', '-', '-s', server.url, '--jetstream'], { env })
  const alerts = feed(running, [])
  alerts.write()
  await until('the first are stored', async () => {
    const stored = await readStream(server.url, 'ALERTS', before ? options : {})
    return stored.length === STEP
  })
  await server.stop()
  server.configure(stream + after)
  alerts.write()
  await server.start()
  await running.loggedTwice('connected')
  await alerts.end()
  const stored = await readStream(server.url, 'ALERTS', after ? options : {})
  expect(countNumbered(stored, 2 * STEP)).toMatchObject({ missing: 0 })
  expect(
    running
      .log()
      .filter(({ msg }) => msg === 'connected')
      .map(({ tls }) => tls),
  ).toEqual([before !== '', after !== ''])
})

it('gives nothing to a server that no longer has TLS, where TLS is asked for', async () => {
  const withTls = `${tlsConfig('server')}\nauthorization { user: falco, password: s3cr3t }`
  await using server = await startNats(withTls)
  const url = server.url.replace('nats://', 'tls://')
  const env = { NATS_USER: 'falco', NATS_PASSWORD: 's3cr3t' }
  await using proxy = await startProxy(server.port)
  const args = [
    '-f',
    '-',
    '-s',
    url.replace(/\d+$/, new URL(proxy.url).port),
    '--tlsca',
    tls('ca.crt'),
  ]
  await using running = falcoNats(args, { env })
  await running.logged('connected')
  await server.stop()
  server.configure('authorization { user: falco, password: s3cr3t }')
  await server.start()
  const before = proxy.forwarded()
  const alerts = feed(running, [])
  alerts.write()
  await running.loggedReason(/server does not support 'tls'$/)
  expect(proxy.forwarded()).toBe(before)
  await server.stop()
  server.configure(withTls)
  await server.start()
  await running.loggedTwice('connected')
  await alerts.end()
})

it('knocks less and less often where it is refused', async () => {
  await using server = await startNats('authorization { user: falco, password: s3cr3t }')
  await using running = falcoNats(['-f', '-', '-s', server.url])
  await running.loggedReason(/Authorization Violation$/i)
  await until('it was refused six times', () => server.errors() >= 6)
  const startedAt = performance.now()
  await until('it was refused once more', () => server.errors() >= 7)
  // 100 ms doubled each time, half of it left to chance.
  expect(performance.now() - startedAt).toBeGreaterThan(1000)
  expect(running.log().filter(({ msg }) => msg.startsWith('cannot connect'))).toHaveLength(1)
})
