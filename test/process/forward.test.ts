// The program as a process, a real nats-server, a writer that behaves as Falco does.

import { execFileSync } from 'node:child_process'
import { readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import { falcoNats, memoryKiB, runFalcoNats, stopped } from '../support/cli.ts'
import { alertLines, fixture, fixturePath, numberedAlert } from '../support/fixtures.ts'
import { createStream, readStream, startNats, streamCount, subscribe } from '../support/nats.ts'
import { countNumbered, expectedSubject, writePipe } from '../support/pipe.ts'
import { startProxy } from '../support/proxy.ts'
import { haveRead, SCRAPED } from '../support/scrape.ts'
import { tempDir } from '../support/temp.ts'
import { until } from '../support/wait.ts'
import { numbered } from '../support/writer.ts'

const LOAD = 100_000

/** All that the process has read so far, its own code included. */
const readBytes = (pid: number) =>
  Number(/rchar: (\d+)/.exec(readFileSync(`/proc/${pid}/io`, 'utf8'))![1])

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
    expect(running.log().at(-1)!.msg).toMatch(/^done: 0 alerts were lost \(the pipe .* replaced/)
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
    expect(refused.stderr).toMatch(/file is a regular file; .*move it away/)
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
    expect(log.filter(({ level }) => level === 'warn')).toHaveLength(2)
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

describe('while NATS misbehaves', () => {
  it('loses nothing when the server comes later', async () => {
    using dir = tempDir()
    await using server = await startNats('', { started: false })
    await using running = falcoNats(['-f', dir.file('nats'), '-s', server.url])
    await using writing = await writePipe(dir.file('nats'), 'numbered:20000', 4096)
    await running.logged('cannot connect')
    await server.start()
    await running.logged('connected')
    expect(await writing.done()).toBe(0)
    const { code, last } = await stopped(running)
    expect(code).toBe(0)
    expect(last).toMatchObject({ delivered: 20_000, left: 0 })
    expect(running.log().filter(({ msg }) => msg.startsWith('cannot connect'))).toHaveLength(1)
  })

  it(`loses none of ${LOAD} when the server is killed and restarted under load`, async () => {
    using dir = tempDir()
    // A plain subscriber would miss what comes while it is away itself: a stream keeps all.
    await using server = await startNats(`jetstream { store_dir: "${dir.file('jetstream')}" }`)
    await createStream(server.url)
    await using running = falcoNats(['-f', dir.file('nats'), '-s', server.url])
    await running.logged('connected')
    await using writing = await writePipe(dir.file('nats'), `numbered:${LOAD}`, 65536)
    for (let restarts = 1; restarts <= 3; restarts++) {
      const enough = (restarts * LOAD) / 5
      await until(`${enough} are kept`, async () => (await streamCount(server.url)) >= enough)
      await server.stop('SIGKILL')
      await server.start()
    }
    expect(await writing.done()).toBe(0)
    const { code, last } = await stopped(running)
    expect(code).toBe(0)
    expect(last).toMatchObject({ read: LOAD, delivered: LOAD, left: 0 })
    const kept = await readStream(server.url)
    const { missing, duplicates } = countNumbered(kept, LOAD)
    console.info(`${missing} missing, ${duplicates} duplicates, ${last.resent} sent again`)
    expect(missing).toBe(0)
  })

  it(`loses none of ${LOAD} when connections are cut under load`, async () => {
    using dir = tempDir()
    await using server = await startNats()
    await using proxy = await startProxy(server.port)
    await using subscriber = await subscribe(server.url)
    await using running = falcoNats(['-f', dir.file('nats'), '-s', proxy.url])
    await running.logged('connected')
    await using writing = await writePipe(dir.file('nats'), `numbered:${LOAD}`, 65536)
    let cuts = 0
    const allHaveCome = () => subscriber.messages.length >= LOAD
    while (!allHaveCome()) {
      const enough = proxy.forwarded() + 500_000
      await until('half a megabyte went through', () => allHaveCome() || proxy.forwarded() > enough)
      proxy.cut()
      cuts++
    }
    expect(await writing.done()).toBe(0)
    const { code, last } = await stopped(running)
    expect(code).toBe(0)
    expect(last).toMatchObject({ read: LOAD, delivered: LOAD, left: 0 })
    await until(
      'all numbers have come',
      () => countNumbered(subscriber.messages, LOAD).missing === 0,
    )
    const { duplicates, inOrder } = countNumbered(subscriber.messages, LOAD)
    console.info(`${cuts} cuts, ${duplicates} duplicates, ${last.resent} sent again`)
    expect(cuts).toBeGreaterThan(5)
    expect(inOrder).toBe(true)
    expect(duplicates).toBeLessThanOrEqual(last.resent as number)
  })

  it('holds its memory and lets Falco wait while the server is frozen, then lets go of it', async () => {
    using dir = tempDir()
    await using server = await startNats()
    await using other = await startNats()
    await using subscriber = await subscribe(other.url)
    await using running = falcoNats(['-f', dir.file('nats'), '-s', server.url])
    await running.logged('connected')
    const before = memoryKiB(running.child.pid!)
    server.freeze()
    await using writing = await writePipe(dir.file('nats'), `numbered:${LOAD * 3}`, 65536)
    const lost = await running.logged('disconnected')
    expect(lost.reason).toBe('no answer to 2 pings')
    const grown = memoryKiB(running.child.pid!) - before
    console.info(`RSS grew by ${grown} KiB against a frozen server`)
    // 36 MB were offered; the buffer, copies in the socket and the code that ran come to this.
    expect(grown).toBeLessThan((16 + 24) * 1024)
    expect(writing.child.exitCode).toBeNull()
    server.thaw()
    await writing.done()
    const { code, last } = await stopped(running)
    expect(code).toBe(0)
    expect(last).toMatchObject({ read: LOAD * 3, delivered: LOAD * 3 })
    expect(subscriber.messages).toHaveLength(0)
  })

  it('goes to another server of the list', async () => {
    await using first = await startNats()
    await using second = await startNats('', { started: false })
    await using running = falcoNats(['-f', '-', '-s', `${first.url},${second.url}`])
    await running.logged('connected')
    await second.start()
    await using subscriber = await subscribe(second.url)
    await first.stop('SIGKILL')
    running.child.stdin.end(`${numberedAlert(0)}\n`)
    expect(await running.exited()).toBe(0)
    await subscriber.count(1)
  })
})

describe('what NATS refuses', () => {
  it('counts an alert over max_payload and delivers its neighbours', async () => {
    await using server = await startNats('max_payload: 4096')
    await using subscriber = await subscribe(server.url)
    const input = [numberedAlert(0), numberedAlert(1).padEnd(5000), numberedAlert(2)].join('\n')
    const { code, log } = await runFalcoNats(['-f', '-', '-s', server.url], { input })
    expect(code).toBe(1)
    expect(log.at(-1)).toMatchObject({
      level: 'error',
      msg: "done: 1 alerts were lost (1 over the server's max_payload)",
      read: 3,
      delivered: 2,
      reasons: { exceeds_max_payload: 1 },
      left: 0,
      resent: 0,
    })
    await subscriber.count(2)
    expect(log.find(({ reason }) => reason === 'exceeds_max_payload')).toMatchObject({
      subject: 'falco.notice.terminal_shell_in_container',
      bytes: 5000,
      maxPayload: 4096,
    })
  })

  it('is nothing for its size where max_payload has no limit', async () => {
    using dir = tempDir()
    const jetstream = `jetstream { store_dir: "${dir.file('js')}" }`
    await using server = await startNats(`max_payload: -1\n${jetstream}`)
    for (const more of [[], ['--jetstream', '--create-stream']]) {
      const args = ['-f', '-', '-s', server.url, ...more]
      const { code, log } = await runFalcoNats(args, { input: numberedAlert(0).padEnd(5000) })
      expect(log.at(-1)).toMatchObject({ read: 1, delivered: 1 })
      expect(code).toBe(0)
    }
  })

  it('counts alerts on denied subjects and delivers the others', async () => {
    await using server = await startNats(`authorization { users: [
      { user: forwarder, password: p, permissions: { publish: { allow: "falco.>", deny: "falco.*.secret" } } }
      { user: reader, password: p }
    ] }`)
    await using subscriber = await subscribe(server.url, { user: 'reader', pass: 'p' })
    const lines = Array.from({ length: 1000 }, (_, n) =>
      numberedAlert(n, n % 3 ? 'Public' : 'Secret'),
    )
    const { code, log } = await runFalcoNats(['-f', '-', '-s', server.url, '--user', 'forwarder'], {
      env: { NATS_PASSWORD: 'p' },
      input: lines.join('\n'),
    })
    expect(code).toBe(1)
    expect(log.at(-1)).toMatchObject({
      read: 1000,
      delivered: 666,
      reasons: { permission_denied: 334 },
      left: 0,
    })
    await subscriber.count(666)
    expect(subscriber.messages.every(({ subject }) => subject === 'falco.notice.public')).toBe(true)
    expect(log.filter(({ reason }) => reason === 'permission_denied')).toHaveLength(1)
  })
})

describe('when it is stopped', () => {
  it('loses nothing that it read in mid-flow, and ends in time', async () => {
    using dir = tempDir()
    await using server = await startNats()
    await using subscriber = await subscribe(server.url)
    await using running = falcoNats(['-f', dir.file('nats'), '-s', server.url])
    await running.logged('connected')
    await using _writing = await writePipe(dir.file('nats'), `numbered:${LOAD * 3}`, 1000)
    await subscriber.count(20_000)
    const { code, last } = await stopped(running)
    expect(code).toBe(0)
    const read = last.read as number
    expect(last).toMatchObject({ delivered: read, rejected: 0, left: 0 })
    await subscriber.count(read)
    expect(countNumbered(subscriber.messages, read)).toEqual({
      missing: 0,
      duplicates: 0,
      inOrder: true,
    })
  })

  it('reads what is still in the pipe, up to the end of a line that is being written', async () => {
    using dir = tempDir()
    await using server = await startNats()
    await using subscriber = await subscribe(server.url)
    await using running = falcoNats(['-f', dir.file('nats'), '-s', server.url])
    await using writing = await writePipe(dir.file('nats'), 'numbered:300000', 1)
    await subscriber.count(100)
    const { code, last } = await stopped(running)
    expect(code).toBe(0)
    expect(last).toMatchObject({ rejected: 0, left: 0 })
    await subscriber.count(last.read as number)
    expect(await writing.done()).not.toBe(0)
  })

  it('ends although a writer never ends its line and never pauses', async () => {
    using dir = tempDir()
    await using server = await startNats()
    await using running = falcoNats(['-f', dir.file('nats'), '-s', server.url])
    await using writing = await writePipe(dir.file('nats'), 'zeros', 4096)
    await until('it has read much', () => readBytes(running.child.pid!) > 4 * 1024 ** 2)
    const { code, last } = await stopped(running)
    expect(last).toMatchObject({ delivered: 0, reasons: { too_long: 1 }, left: 0 })
    expect(code).toBe(0)
    expect(await writing.done()).not.toBe(0)
  })

  it('ends at the end of a line of a file', async () => {
    using dir = tempDir()
    writeFileSync(dir.file('in'), numbered(LOAD * 5))
    const main = `exec ${process.execPath} ${new URL('../../src/forward/main.ts', import.meta.url).pathname}`
    const shell = `${main} -f - --dry-run < ${dir.file('in')}`
    await using running = falcoNats(['-c', shell], { program: ['/bin/sh'] })
    await until('something has come', () => running.stdout().length > 0)
    const { code, last } = await stopped(running)
    expect(code).toBe(0)
    expect(last).toMatchObject({ delivered: last.read, rejected: 0 })
    expect(last.read).toBeLessThan(LOAD * 5)
  })

  it('says how many were left when the drain timeout is over', async () => {
    using dir = tempDir()
    await using running = falcoNats([
      '-f',
      dir.file('nats'),
      '-s',
      'nats://127.0.0.1:1',
      '--drain-timeout',
      '300ms',
      ...SCRAPED,
    ])
    await using writing = await writePipe(dir.file('nats'), 'numbered:5', 0)
    expect(await writing.done()).toBe(0)
    await haveRead(running, 5)
    await running.logged('cannot connect')
    const { code, last } = await stopped(running)
    expect(code).toBe(1)
    expect(last).toMatchObject({
      level: 'error',
      msg: 'done: 5 alerts were lost (5 not delivered in time)',
      read: 5,
      delivered: 0,
      left: 5,
    })
  })

  it('ends at once at the second signal', async () => {
    using dir = tempDir()
    await using server = await startNats()
    await using running = falcoNats([
      '-f',
      dir.file('nats'),
      '-s',
      server.url,
      '--drain-timeout',
      '1h',
      ...SCRAPED,
    ])
    await running.logged('connected')
    server.freeze()
    await using writing = await writePipe(dir.file('nats'), 'numbered:5', 0)
    expect(await writing.done()).toBe(0)
    await haveRead(running, 5)
    running.child.kill('SIGTERM')
    await running.logged('stopping')
    const { code, last } = await stopped(running)
    expect(code).toBe(1)
    expect(last).toMatchObject({ left: 5 })
  })
})
