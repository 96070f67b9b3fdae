// Each kind of credentials against a real server that asks for it: the right one delivers, a wrong
// one gives a clear line and is tried again and again until it is right.

import { execFileSync } from 'node:child_process'
import { existsSync, writeFileSync } from 'node:fs'
import { nkeys } from 'nats'
import { describe, expect, it } from 'vitest'
import { falcoNats, runFalcoNats } from '../../support/cli.ts'
import { fixturePath, numberedAlert } from '../../support/fixtures.ts'
import { operatorMode } from '../../support/jwt.ts'
import { startNats } from '../../support/nats.ts'
import { tempDir } from '../../support/temp.ts'
import { until } from '../../support/wait.ts'

const tls = (name: string) => fixturePath(`tls/${name}`)
const TLS_CONFIG = `cert_file: "${tls('server.crt')}", key_file: "${tls('server.key')}"`
const user = nkeys.createUser()
const stranger = nkeys.createUser()
const seedOf = (key: typeof user) => new TextDecoder().decode(key.getSeed())
const operator = operatorMode()

interface Case {
  config: string
  /** Arguments and environment, given a function that writes a secret to a file. */
  right: (file: (content: string) => string) => { args?: string[]; env?: object }
  wrong: (file: (content: string) => string) => { args?: string[]; env?: object }
  says: RegExp
  scheme?: string
}

const authorization = /^nats:\/\/127\.0\.0\.1:\d+: Authorization Violation$/i

const CASES: Record<string, Case> = {
  'user and password file': {
    config: 'authorization { user: falco, password: s3cr3t }',
    right: (file) => ({ args: ['--user', 'falco', '--password-file', file('s3cr3t\n')] }),
    wrong: (file) => ({ args: ['--user', 'falco', '--password-file', file('wr0ng')] }),
    says: authorization,
  },
  'user and password from the environment': {
    config: 'authorization { user: falco, password: s3cr3t }',
    right: () => ({ env: { NATS_USER: 'falco', NATS_PASSWORD: 's3cr3t' } }),
    wrong: () => ({ env: { NATS_USER: 'falco', NATS_PASSWORD: 'wr0ng' } }),
    says: authorization,
  },
  'token file': {
    config: 'authorization { token: s3cr3t }',
    right: (file) => ({ args: ['--token-file', file('s3cr3t\n')] }),
    wrong: (file) => ({ args: ['--token-file', file('wr0ng')] }),
    says: authorization,
  },
  'token from the environment': {
    config: 'authorization { token: s3cr3t }',
    right: () => ({ env: { FALCO_NATS_TOKEN: 's3cr3t' } }),
    wrong: () => ({ env: { NATS_TOKEN: 'wr0ng' } }),
    says: authorization,
  },
  nkey: {
    config: `authorization { users: [{ nkey: ${user.getPublicKey()} }] }`,
    right: (file) => ({ args: ['--nkey', file(`${seedOf(user)}\n`)] }),
    wrong: (file) => ({ args: ['--nkey', file(seedOf(stranger))] }),
    says: authorization,
  },
  creds: {
    config: operator.config,
    right: (file) => ({ args: ['--creds', file(operator.creds)] }),
    wrong: (file) => ({ env: { NATS_CREDS: file(operator.otherCreds) } }),
    says: authorization,
  },
  TLS: {
    config: `tls { ${TLS_CONFIG} }`,
    right: () => ({ args: ['--tlsca', tls('ca.crt')] }),
    wrong: () => ({ args: ['--tlsca', tls('other-ca.crt')] }),
    says: /^tls:\/\/localhost:\d+: .*(unable to verify|self-signed|unable to get)/,
    scheme: 'tls://localhost',
  },
  'mutual TLS': {
    config: `tls { ${TLS_CONFIG}, ca_file: "${tls('ca.crt')}", verify: true }`,
    right: () => ({
      args: [
        '--tlsca',
        tls('ca.crt'),
        '--tlscert',
        tls('client.crt'),
        '--tlskey',
        tls('client.key'),
      ],
    }),
    wrong: () => ({ env: { NATS_CA: tls('ca.crt') } }),
    says: /^tls:\/\/127\.0\.0\.1:\d+: ./,
    scheme: 'tls://127.0.0.1',
  },
}

describe.each(Object.entries(CASES))('%s', (_, { config, right, wrong, says, scheme }) => {
  const filesIn = (dir: ReturnType<typeof tempDir>) => (content: string) => {
    const path = dir.file(`secret-${content.length}`)
    writeFileSync(path, content)
    return path
  }

  it('delivers', async () => {
    using dir = tempDir()
    await using server = await startNats(config)
    const url = `${scheme ?? 'nats://127.0.0.1'}:${server.port}`
    const { args = [], env } = right(filesIn(dir))
    const { code, log, stderr } = await runFalcoNats(['-f', '-', '-s', url, ...args], {
      env: env ?? {},
      input: numberedAlert(0),
    })
    expect(stderr).not.toMatch(/s3cr3t|SU[A-Z0-9]{56}|eyJ/)
    expect(code).toBe(0)
    expect(log.find(({ msg }) => msg === 'connected')).toMatchObject({ tls: scheme !== undefined })
    expect(log.at(-1)).toMatchObject({ delivered: 1 })
  })

  it('says clearly that the wrong one is refused, once, and keeps trying', async () => {
    using dir = tempDir()
    await using server = await startNats(config)
    const url = `${scheme ?? 'nats://127.0.0.1'}:${server.port}`
    const { args = [], env } = wrong(filesIn(dir))
    await using running = falcoNats(['-f', '-', '-s', url, ...args], { env: env ?? {} })
    const refused = await running.logged('cannot connect')
    expect(refused).toMatchObject({ level: 'warn', reason: expect.stringMatching(says) })
    // Two equal authentication errors would end the client's own reconnecting.
    await until('it has tried four times', () => server.errors() >= 4)
    const lines = running.log().filter(({ msg }) => msg.startsWith('cannot connect'))
    expect(new Set(lines.map(({ reason }) => reason)).size).toBe(lines.length)
    running.child.kill('SIGTERM')
    expect(await running.exited()).toBe(0)
    expect(running.stderr()).not.toMatch(/wr0ng|SU[A-Z0-9]{56}|eyJ/)
  })
})

it.each([
  ['its address', 'by-address', '127.0.0.1', true],
  ['its address only', 'by-address', 'localhost', false],
  ['its name', 'by-name', 'localhost', true],
  ['its name only', 'by-name', '127.0.0.1', false],
])('wants a certificate for what was dialled: %s, %s at %s', async (_, name, host, right) => {
  await using server = await startNats(
    `tls { cert_file: "${tls(`${name}.crt`)}", key_file: "${tls(`${name}.key`)}" }`,
  )
  const url = `tls://${host}:${server.port}`
  const args = ['--check', '-f', '-', '-s', url, '--tlsca', tls('ca.crt')]
  const { code, stdout } = await runFalcoNats(args)
  expect(stdout.toString()).toMatch(
    right ? /^ok {4}server/m : /^FAIL {2}server: .*(altnames|cert)/m,
  )
  expect(code).toBe(right ? 0 : 1)
})

it('says why when its credentials are no longer good, and comes back when they are', async () => {
  const allowing = (password: string) => `authorization { user: falco, password: ${password} }`
  await using server = await startNats(allowing('good'))
  const env = { NATS_USER: 'falco', NATS_PASSWORD: 'good' }
  await using running = falcoNats(['-f', '-', '-s', server.url], { env })
  await running.logged('connected')
  server.reload(allowing('other'))
  await running.logged('disconnected')
  const { reason } = await running.logged('cannot connect')
  expect(reason).toMatch(/Authorization Violation/)
  server.reload(allowing('good'))
  running.child.stdin.end(numberedAlert(0))
  expect(await running.exited()).toBe(0)
})

it('reads rotated credentials at the next connect, without a restart', async () => {
  using dir = tempDir()
  await using server = await startNats('authorization { user: falco, password: new }')
  writeFileSync(dir.file('password'), 'old')
  await using running = falcoNats([
    '-f',
    '-',
    '-s',
    server.url,
    '--user',
    'falco',
    '--password-file',
    dir.file('password'),
  ])
  await until('it has been refused thrice', () => server.errors() >= 3)
  writeFileSync(dir.file('password'), 'new')
  await running.logged('connected')
  running.child.stdin.end(numberedAlert(0))
  expect(await running.exited()).toBe(0)
})

it.each([
  [['--creds', '/nope'], /--creds .*ENOENT/],
  [['--nkey', fixturePath('alerts.jsonl')], /--nkey .*alerts.jsonl does not hold/],
  [['--tlsca', '/nope'], /--tlsca .*ENOENT/],
])('ends at once when a file cannot be used: %j', async (args, message) => {
  const { code, stderr } = await runFalcoNats(['-f', '-', ...args])
  expect(code).toBe(2)
  expect(stderr).toMatch(message)
  expect(stderr.trim().split('\n')).toHaveLength(1)
})

/** TLS first came with nats-server 2.10.4; Debian 12 has 2.9. A newer one is named by this variable. */
const newer = process.env.NATS_SERVER_NEW ?? 'nats-server'
const version = execFileSync(newer, ['--version'], { encoding: 'utf8' })
const knowsTlsFirst = /v(2\.(1[1-9]|[2-9]\d|10\.([4-9]|\d\d))|[3-9])/.test(version)
if (!knowsTlsFirst) console.warn(`skipped: TLS first needs nats-server 2.10.4, this is ${version}`)

it.skipIf(!knowsTlsFirst)('connects with TLS first', async () => {
  expect(existsSync(tls('server.crt'))).toBe(true)
  await using server = await startNats(`tls { ${TLS_CONFIG}, handshake_first: true }`, {
    program: newer,
  })
  const { code, log } = await runFalcoNats(
    ['-f', '-', '-s', `tls://127.0.0.1:${server.port}`, '--tlsca', tls('ca.crt'), '--tlsfirst'],
    { input: numberedAlert(0) },
  )
  expect(code).toBe(0)
  expect(log.at(-1)).toMatchObject({ delivered: 1 })
})
