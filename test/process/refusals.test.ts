// The program while NATS misbehaves, or refuses what it publishes.

import { describe, expect, it } from 'vitest'
import { falcoNats, memoryKiB, runFalcoNats, stopped } from '../support/cli.ts'
import { numberedAlert } from '../support/fixtures.ts'
import { createStream, readStream, startNats, streamCount, subscribe } from '../support/nats.ts'
import { countNumbered, writePipe } from '../support/pipe.ts'
import { startProxy } from '../support/proxy.ts'
import { tempDir } from '../support/temp.ts'
import { until } from '../support/wait.ts'

const LOAD = 100_000

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
