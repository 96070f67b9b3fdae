// What --check finds, with real pipes, spools and servers.

import { execFileSync } from 'node:child_process'
import { chmodSync, statSync, symlinkSync, writeFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import { check } from '../../src/forward/check.ts'
import { parseCommandLine } from '../../src/forward/command-line.ts'
import { afterWelcome, startHostile } from '../support/hostile.ts'
import { createStream, startNats } from '../support/nats.ts'
import { tempDir } from '../support/temp.ts'

/** A server that no test reaches. */
const NOBODY = 'nats://127.0.0.1:1'

/** What it prints of these things, and its exit code. */
async function checked(args: string[], what: string[]) {
  const invocation = parseCommandLine(['--check', ...args], {})
  if (invocation.run !== 'check') throw new Error(invocation.run)
  let text = ''
  const code = await check(invocation.config, {
    write: (more) => {
      text += more
      return true
    },
  })
  const lines = text.split('\n').filter((line) => what.some((each) => line.includes(` ${each}: `)))
  return { code, lines: lines.map((line) => line.replace(/ +/, ' ')) }
}

describe('the pipe', () => {
  const pipe = async (path: string) =>
    (await checked(['-f', path, '-s', NOBODY], ['pipe'])).lines.join()

  it('may be standard input, or missing where it can be made', async () => {
    using dir = tempDir()
    expect(await pipe('-')).toBe('ok pipe: standard input')
    expect(await pipe(dir.file('a/b/nats'))).toMatch(/^ok pipe: .* is not there; it can be made$/)
  })

  it('is not opened, and not changed', async () => {
    using dir = tempDir()
    execFileSync('mkfifo', [dir.file('nats')])
    const before = statSync(dir.file('nats'))
    expect(await pipe(dir.file('nats'))).toBe(
      `ok pipe: ${dir.file('nats')} is there, and we may read and write it`,
    )
    expect(statSync(dir.file('nats'))).toEqual(before)
  })

  it('may be one that cannot be set aside at a stop', async () => {
    using dir = tempDir()
    execFileSync('mkfifo', [dir.file('pipe')])
    symlinkSync(dir.file('pipe'), dir.file('nats'))
    expect(await pipe(dir.file('nats'))).toMatch(/; at a stop it cannot be set aside: it is a symb/)
  })

  it('is none where there is a file, or a directory', async () => {
    using dir = tempDir()
    writeFileSync(dir.file('nats'), '')
    expect(await pipe(dir.file('nats'))).toMatch(/^FAIL pipe: .* is a regular file|not a/)
    expect(await pipe(dir.path)).toMatch(/^FAIL pipe: .* is a directory/)
    expect(await pipe(dir.file('nats/x'))).toMatch(/^FAIL pipe: /)
  })
})

describe('the spool', () => {
  it('is made, and what it takes and holds is printed', async () => {
    using dir = tempDir()
    const args = ['-f', '-', '-s', NOBODY, '--spool-dir', dir.file('spool')]
    const { lines } = await checked([...args, '--spool-bytes', '8MiB'], ['spool'])
    expect(lines).toEqual([`ok spool: ${dir.file('spool')} takes 8 MiB, 0 alerts wait in it`])
  })

  it('fails where it cannot be made', async () => {
    using dir = tempDir()
    writeFileSync(dir.file('file'), '')
    const args = ['-f', '-', '-s', NOBODY, '--spool-dir', dir.file('file/spool')]
    expect((await checked(args, ['spool'])).lines.join()).toMatch(/^FAIL spool: .*ENOTDIR/)
  })

  it('may be a new one in place of a damaged one, which is moved aside', async () => {
    using dir = tempDir()
    const args = ['-f', '-', '-s', NOBODY, '--spool-dir', dir.path]
    await checked(args, [])
    const [file] = execFileSync('ls', [dir.path], { encoding: 'utf8' }).split('\n')
    writeFileSync(dir.file(file!), 'x'.repeat(100_000))
    const { lines } = await checked(args, ['spool'])
    expect(lines.join()).toMatch(/^ok spool: .* 0 alerts wait in it; a damaged one is now /)
  })
})

describe('the servers', () => {
  it('are all tried, and one that answers is enough', async () => {
    await using server = await startNats('max_payload: 65536')
    const { code, lines } = await checked(['-f', '-', '-s', `${NOBODY},${server.url}`], ['server'])
    expect(lines).toEqual([
      expect.stringMatching(/^FAIL server: nats:.*:1: connection refused/),
      expect.stringMatching(
        /^ok server: nats:\/\/.* is nats-server 2\.\S+, TLS off, max_payload 64 KiB; lines over/,
      ),
    ])
    expect(code).toBe(0)
  })

  it('are not enough where the pipe is none', async () => {
    using dir = tempDir()
    await using server = await startNats()
    const { code, lines } = await checked(['-f', dir.path, '-s', server.url], ['server'])
    expect(lines.join()).toMatch(/TLS off, max_payload 1 MiB$/)
    expect(code).toBe(1)
  })

  it('are refused with their reason, when they confirm nothing', async () => {
    await using hostile = await startHostile(
      afterWelcome((socket) => socket.end("-ERR 'Account Limits'\r\n")),
    )
    const { code, lines } = await checked(['-f', '-', '-s', hostile.url], ['server'])
    expect(lines).toEqual([`FAIL server: ${hostile.url}: Account Limits`])
    expect(code).toBe(1)
  })

  it('are refused with what has expired of ours', async () => {
    using dir = tempDir()
    const claims = Buffer.from('{"exp":1}').toString('base64url')
    writeFileSync(dir.file('creds'), `x.${claims}.y\n`)
    chmodSync(dir.file('creds'), 0o600)
    const { lines } = await checked(
      ['-f', '-', '-s', NOBODY, '--creds', dir.file('creds')],
      ['server'],
    )
    expect(lines.join()).toMatch(/^FAIL server: .*; --creds .* expired at 1970-01-01T00:00:01/)
  })
})

describe('the stream', () => {
  it('must take what the template gives, and be the one that is named', async () => {
    using dir = tempDir()
    await using server = await startNats(`jetstream { store_dir: "${dir.path}" }`)
    const args = ['-f', '-', '-s', server.url, '--jetstream']
    const stream = async (...more: string[]) => await checked([...args, ...more], ['stream'])
    expect(await stream()).toMatchObject({
      code: 1,
      lines: [expect.stringMatching(/^FAIL stream: .*: no stream takes falco\.notice\.check; to/)],
    })
    expect(await stream('--create-stream', '--stream', 'S')).toEqual({
      code: 0,
      lines: ['ok stream: none takes falco.notice.check yet; S will be made for falco.>'],
    })
    await createStream(server.url)
    expect(await stream()).toEqual({
      code: 0,
      lines: ['ok stream: ALERTS takes falco.notice.check'],
    })
    expect(await stream('--stream', 'S')).toMatchObject({ code: 1 })
    expect(await stream('--subject', 'other.<rule>')).toMatchObject({ code: 1 })
  })

  it('is not looked for on a server that does not answer', async () => {
    const { code, lines } = await checked(['-f', '-', '-s', NOBODY, '--jetstream'], ['stream'])
    expect([code, lines]).toEqual([1, []])
  })
})
