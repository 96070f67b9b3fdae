// The process edge: exit codes and what goes to which stream.

import { execFileSync } from 'node:child_process'
import { chmodSync, statSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import { falcoNats, runFalcoNats } from '../support/cli.ts'
import { alertLines, fixture, numberedAlert } from '../support/fixtures.ts'
import { startNats } from '../support/nats.ts'
import { tempDir } from '../support/temp.ts'

it.each([
  [['--min-priority', 'foo']],
  [['--nope']],
  [['-s', 'http://x']],
  [['sample', '--count', 'x']],
])('ends with 2 and one line for %j', async (args) => {
  const { code, stdout, stderr } = await runFalcoNats(args)
  expect(code).toBe(2)
  expect(stdout).toHaveLength(0)
  expect(stderr).toMatch(/^falco-nats: .+\n$/)
})

it('prints help and version to standard output', async () => {
  expect((await runFalcoNats(['--help'])).stdout.toString()).toMatch(/^Usage: falco-nats/)
  const { code, stdout } = await runFalcoNats(['--version'])
  expect({ code, text: stdout.toString() }).toEqual({
    code: 0,
    text: expect.stringMatching(/^\d+\.\d+\.\d+\n$/),
  })
})

describe('--dry-run', () => {
  it('prints subject, tab and line, and needs no server', async () => {
    const { code, stdout } = await runFalcoNats(['-f', '-', '--dry-run'], {
      input: fixture('alerts.jsonl'),
    })
    expect(code).toBe(0)
    const lines = stdout.toString().trimEnd().split('\n')
    expect(lines.map((line) => line.slice(line.indexOf('\t') + 1))).toEqual(
      alertLines().map(String),
    )
    expect(lines.every((line) => /^falco\.[a-z]+\.[a-z0-9_]+\t\{/.test(line))).toBe(true)
  })

  it('ends with 1 and a line when nobody reads any more', async () => {
    await using running = falcoNats(['-f', '-', '--dry-run'])
    await running.logged('reading')
    running.child.stdout.destroy()
    running.child.stdin.write(`${numberedAlert(0)}\n`)
    expect(await running.exited()).toBe(1)
    expect(running.log().at(-1)).toMatchObject({
      level: 'error',
      msg: 'done: 1 alerts were lost (cannot write to standard output: EPIPE: broken pipe, write, 1 not delivered in time)',
      read: 1,
      left: 1,
    })
  })
})

describe('--check', () => {
  it('says what it found and ends with 0 when all is well', async () => {
    using dir = tempDir()
    await using server = await startNats('max_payload: 65536')
    const { code, stdout } = await runFalcoNats([
      '--check',
      '-f',
      dir.file('x/nats'),
      '-s',
      server.url,
    ])
    expect(stdout.toString().split('\n')).toEqual([
      'ok    subject: falco.<priority>.<rule>, from debug up',
      `ok    pipe: ${dir.file('x/nats')} is not there; it can be made`,
      expect.stringMatching(
        /^ok {4}server: nats:\/\/127\.0\.0\.1:\d+ is nats-server 2\.\d+\.\d+, TLS off, max_payload 64 KiB; lines over/,
      ),
      '',
    ])
    expect(code).toBe(0)
    // It leaves no pipe behind: Falco would block on one that nobody reads.
    expect(statSync(dir.file('x'), { throwIfNoEntry: false })).toBeUndefined()
  })

  it('says what is wrong and ends with 1', async () => {
    using dir = tempDir()
    const { code, stdout } = await runFalcoNats([
      '--check',
      '-f',
      dir.path,
      '-s',
      'nats://127.0.0.1:1',
    ])
    expect(code).toBe(1)
    expect(stdout.toString()).toMatch(/^FAIL {2}pipe: .* is a directory/m)
    expect(stdout.toString()).toMatch(
      /^FAIL {2}server: nats:\/\/127\.0\.0\.1:1: connection refused/m,
    )
  })

  it('does not open the pipe, so that no waiting Falco writes into the void', async () => {
    using dir = tempDir()
    await using server = await startNats()
    execFileSync('mkfifo', [dir.file('nats')])
    chmodSync(dir.file('nats'), 0o600)
    const { code, stdout } = await runFalcoNats([
      '--check',
      '-f',
      dir.file('nats'),
      '-s',
      server.url,
    ])
    expect(code).toBe(0)
    expect(stdout.toString()).toMatch(/nats is there, and we may read and write it/)
  })
})
