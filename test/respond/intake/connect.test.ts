// The connection of the responder, where what it needs changes, and where a server is none.

import { copyFileSync, writeFileSync } from 'node:fs'
import { Writable } from 'node:stream'
import pino from 'pino'
import { expect, it } from 'vitest'
import { createRespondMetrics } from '../../../src/respond/engine/metrics.ts'
import { connectPatiently } from '../../../src/respond/intake/connect.ts'
import type { CredentialOptions } from '../../../src/shared/nats/options.ts'
import { parseServers } from '../../../src/shared/nats/servers.ts'
import { fixturePath } from '../../support/fixtures.ts'
import { info, startHostile } from '../../support/hostile.ts'
import { operatorMode } from '../../support/jwt.ts'
import { startNats } from '../../support/nats.ts'
import { startProxy } from '../../support/proxy.ts'
import { tempDir } from '../../support/temp.ts'
import { until } from '../../support/wait.ts'

const tls = (name: string) => fixturePath(`tls/${name}`)

async function open(url: string, credentials: Partial<CredentialOptions> = {}) {
  const lines: string[] = []
  const destination = new Writable({
    write(chunk, _encoding, done) {
      lines.push(String(chunk))
      done()
    },
  })
  const metrics = createRespondMetrics()
  const stop = new AbortController()
  const connecting = connectPatiently(
    { ...(credentials as CredentialOptions), server: parseServers(url) },
    { name: 'test', inboxPrefix: '_INBOX' },
    metrics,
    pino(destination),
    stop.signal,
  )
  const logged = (text: string) =>
    until(`the log has ${text}`, () => lines.some((line) => line.includes(text)))
  return {
    lines,
    logged,
    async [Symbol.asyncDispose]() {
      stop.abort()
      await (await connecting)?.close()
    },
  }
}

it('reads a replaced authority at the next dial', async () => {
  using dir = tempDir()
  const config = (name: string) =>
    `tls { cert_file: "${tls(`${name}.crt`)}", key_file: "${tls(`${name}.key`)}" }`
  await using server = await startNats(config('server'))
  await using proxy = await startProxy(server.port)
  copyFileSync(tls('ca.crt'), dir.file('ca'))
  await using opened = await open(proxy.url.replace('nats', 'tls'), { tlsca: dir.file('ca') })
  await opened.logged('"connected"')
  server.reload(config('next-server'))
  proxy.cut()
  await opened.logged('"disconnected"')
  await until('the server was refused', () => server.errors() > 0)
  writeFileSync(dir.file('ca'), '')
  copyFileSync(tls('next-ca.crt'), dir.file('ca'))
  await opened.logged('"connected again"')
})

it('reads a replaced user JWT when its own has expired', async () => {
  using dir = tempDir()
  const operator = operatorMode()
  await using server = await startNats(operator.config)
  await using proxy = await startProxy(server.port)
  writeFileSync(dir.file('creds'), operator.user().creds)
  await using opened = await open(proxy.url, { creds: dir.file('creds') })
  await opened.logged('"connected"')
  writeFileSync(dir.file('creds'), operator.user(5).creds)
  proxy.cut()
  await opened.logged('User Authentication Expired')
  await until('it was refused thrice', () => server.errors() >= 3)
  writeFileSync(dir.file('creds'), operator.user().creds)
  await until(
    'it is connected for the second time',
    () => opened.lines.filter((line) => line.includes('"connected again"')).length > 1,
  )
})

it('leaves a server that sends what is no protocol, at once, and shows it escaped', async () => {
  let connections = 0
  await using hostile = await startHostile((socket) => {
    connections++
    socket.write(info({ version: '2.10.0\x1b[31m' }))
    socket.once('data', () => {
      socket.write('PONG\r\n')
      setTimeout(() => socket.write('\x1b[31mred\x07\r\n'), 100)
    })
  })
  await using opened = await open(hostile.url)
  await opened.logged('"connected"')
  await until('it has dialled again', () => connections > 1)
  await opened.logged('"disconnected"')
  // pino escapes once more, a terminal's log does not.
  expect(opened.lines.join('')).toContain('2.10.0\\\\u{1b}[31m')
})
