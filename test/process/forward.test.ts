// The program as a process, a real nats-server, a writer that behaves as Falco does.

import { execFileSync } from 'node:child_process'
import { readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import { falcoNats, runFalcoNats, stopped } from '../support/cli.ts'
import { alertLines, fixture, fixturePath, numberedAlert } from '../support/fixtures.ts'
import { startNats, subscribe } from '../support/nats.ts'
import { countNumbered, expectedSubject, writePipe } from '../support/pipe.ts'
import { tempDir } from '../support/temp.ts'

describe('through a named pipe', () => {
  it.each([
    ['whole', 0],
    ['1 byte', 1],
    ['7 bytes', 7],
    ['64 KiB', 65536],
    ['open, write, close', 'falco' as const],
  ])('alerts arrive complete, in order, byte for byte: %s a write', async (_, mode) => {
    using dir = tempDir()
    await using server = await startNats()
    await using subscriber = await subscribe(server.url)
    await using running = falcoNats(['-f', dir.file('falco/nats'), '-s', server.url])
    await using writing = await writePipe(dir.file('falco/nats'), fixturePath('alerts.jsonl'), mode)
    expect(await writing.done()).toBe(0)
    await subscriber.count(300)
    expect(await stopped(running)).toMatchObject({
      code: 0,
      last: { msg: 'done: all alerts were delivered', read: 300, delivered: 300, left: 0 },
    })
    const lines = alertLines()
    expect(subscriber.messages.map(({ data }) => data.toString())).toEqual(lines.map(String))
    const expected = lines.map(expectedSubject)
    expect(expected.filter(Boolean).length).toBeGreaterThan(280)
    const subjects = subscriber.messages.map(({ subject }) => subject)
    expect(subjects).toEqual(
      expected.map(
        (subject) => subject ?? expect.stringMatching(/^falco\.[a-z]+\.[a-z0-9_]{1,128}$/),
      ),
    )
  })

  it('makes the pipe and its directory, for others to write and nobody else to read', async () => {
    using dir = tempDir()
    await using running = falcoNats(['-f', dir.file('a/b/nats'), '-s', 'nats://127.0.0.1:1'])
    await running.logged('reading')
    expect(statSync(dir.file('a/b/nats')).mode & 0o7777).toBe(0o622)
    expect(statSync(dir.file('a/b')).mode & 0o777).toBe(0o711)
    expect((await stopped(running)).code).toBe(0)
    expect(statSync(dir.file('a/b/nats')).isFIFO()).toBe(true)
  })

  it('ends with 1 when the pipe is replaced, so that no alert goes where nobody reads', async () => {
    using dir = tempDir()
    await using running = falcoNats(['-f', dir.file('nats'), '--dry-run'])
    await running.logged('reading')
    rmSync(dir.file('nats'))
    writeFileSync(dir.file('nats'), 'Falco made this')
    expect(await running.exited()).toBe(1)
    expect(running.log().at(-1)!.msg).toMatch(
      /^done: 0 alerts were lost \(the pipe .* regular file there; start again with --adopt-file/,
    )
  })

  it('replaces nothing at a stop but its own pipe', async () => {
    using dir = tempDir()
    await using running = falcoNats(['-f', dir.file('nats'), '--dry-run'])
    await running.logged('reading')
    rmSync(dir.file('nats'))
    writeFileSync(dir.file('nats'), 'Falco made this')
    await stopped(running)
    expect(readFileSync(dir.file('nats'), 'utf8')).toBe('Falco made this')
    expect(readdirSync(dir.path)).toEqual(['nats'])
  })

  it('uses a pipe that is there, and refuses a regular file without touching it', async () => {
    using dir = tempDir()
    execFileSync('mkfifo', [dir.file('nats')])
    await using running = falcoNats(['-f', dir.file('nats'), '--dry-run'])
    await running.logged('reading')
    expect((await stopped(running)).code).toBe(0)

    writeFileSync(dir.file('file'), 'precious')
    const refused = await runFalcoNats(['-f', dir.file('file'), '--dry-run'])
    expect(refused.code).toBe(1)
    expect(refused.stderr).toMatch(/file is a regular file, which Falco makes .*--adopt-file/)
    expect(readFileSync(dir.file('file'), 'utf8')).toBe('precious')
    expect((await runFalcoNats(['-f', dir.path, '--dry-run'])).stderr).toMatch(/is a directory/)
    expect((await runFalcoNats(['-f', '/proc/nope/nats', '--dry-run'])).code).toBe(1)
  })
})

describe('from standard input', () => {
  it('delivers exactly the alerts of a mixed stream and accounts for every other line', async () => {
    await using server = await startNats()
    await using subscriber = await subscribe(server.url)
    const input = fixture('stdout-mixed.log')
    const { code, log } = await runFalcoNats(['-f', '-', '-s', server.url], { input })
    expect(code).toBe(0)
    await subscriber.count(18)
    const last = log.at(-1)!
    expect(last).toMatchObject({ delivered: 18, filtered: 0, rejected: 48, left: 0 })
    expect(last.read).toBe(18 + 48)
    for (const { data } of subscriber.messages) expect(input.includes(data)).toBe(true)
    // One line a reason, although 48 were rejected.
    expect(log.filter(({ reason }) => reason !== undefined)).toHaveLength(2)
  })

  it.each(['file', 'pipe'])(
    'ends by itself at the end of a %s, the last line without newline',
    async (kind) => {
      using dir = tempDir()
      await using server = await startNats()
      await using subscriber = await subscribe(server.url)
      writeFileSync(dir.file('in'), `${numberedAlert(0)}\n${numberedAlert(1)}`)
      const main = `${process.execPath} ${new URL('../../src/forward/main.ts', import.meta.url).pathname}`
      const command = `${main} -f - -s ${server.url}`
      const shell =
        kind === 'file' ? `${command} < ${dir.file('in')}` : `cat ${dir.file('in')} | ${command}`
      const { code } = await runFalcoNats(['-c', shell], { program: ['/bin/sh'] })
      expect(code).toBe(0)
      await subscriber.count(2)
      expect(countNumbered(subscriber.messages, 2)).toMatchObject({ missing: 0, duplicates: 0 })
    },
  )

  it('delivers what was read when it is stopped before the input ends', async () => {
    await using server = await startNats()
    await using subscriber = await subscribe(server.url)
    await using running = falcoNats(['-f', '-', '-s', server.url])
    await running.logged('connected')
    running.child.stdin.write(`${numberedAlert(0)}\n${numberedAlert(1)}\n`)
    await subscriber.count(2)
    running.child.stdin.write(`${numberedAlert(2)}\n`)
    const { code, last } = await stopped(running, 'SIGINT')
    expect(code).toBe(0)
    await subscriber.count(last.read as number)
    expect(last.read).toBeGreaterThanOrEqual(2)
  })
})
