// The program with --jetstream where a stream is missing, full or in the way, and where it makes one.

import { describe, expect, it } from 'vitest'
import { falcoNats, runFalcoNats } from '../support/cli.ts'
import { numberedAlert } from '../support/fixtures.ts'
import { complete, setUp, warnings } from '../support/jetstream.ts'
import { askJetStream, createStream, readStream, startNats, streamCount } from '../support/nats.ts'
import { countNumbered } from '../support/pipe.ts'
import { tempDir } from '../support/temp.ts'
import { numbered } from '../support/writer.ts'

describe('what is said, once, and what follows', () => {
  it('a missing stream: the command that makes it; then all is delivered, in order', async () => {
    await using set = await setUp()
    await using running = falcoNats(set.args)
    running.child.stdin.end(numbered(2000))
    const said = await running.logged('no stream takes')
    expect(said.msg).toBe(
      "no stream takes falco.notice.terminal_shell_in_container (or JetStream is off), will keep trying; to make one: nats stream add FALCO --subjects 'falco.>' --storage file --discard old --max-age 7d --dupe-window 2m --defaults",
    )
    await createStream(set.server.url)
    expect(await running.exited()).toBe(0)
    expect(running.log().at(-1)).toMatchObject({ delivered: 2000, left: 0 })
    expect(countNumbered(await readStream(set.server.url), 2000)).toEqual(complete)
    expect(warnings(running)).toHaveLength(1)
    expect(running.log().at(-2)!.msg).toBe('JetStream acknowledges again')
  })

  it('a full stream, until it is purged', async () => {
    await using set = await setUp()
    const { url } = set.server
    await createStream(url, { max_msgs: 150, discard: 'new' })
    await using running = falcoNats(set.args)
    running.child.stdin.end(numbered(200))
    const said = await running.logged('the stream ALERTS is full')
    expect(said).toMatchObject({ trouble: 'stream_full', reason: 'maximum messages exceeded' })
    expect(await streamCount(url)).toBe(150)
    const first = await readStream(url)
    await askJetStream(url, 'STREAM.PURGE.ALERTS')
    expect(await running.exited()).toBe(0)
    expect(running.log().at(-1)).toMatchObject({ delivered: 200, left: 0 })
    expect(countNumbered([...first, ...(await readStream(url))], 200)).toEqual(complete)
    expect(warnings(running)).toHaveLength(1)
  })

  it('a server without storage, until somebody makes room', async () => {
    using dir = tempDir()
    const jetstream = `store_dir: "${dir.file('jetstream')}", max_file_store: 64KiB`
    await using server = await startNats(`jetstream { ${jetstream} }`)
    await createStream(server.url)
    await using running = falcoNats(['-f', '-', '-s', server.url, '--jetstream'])
    running.child.stdin.end(numbered(500))
    const said = await running.logged('JetStream has no storage left')
    expect(said.trouble).toBe('out_of_storage')
    expect(await streamCount(server.url)).toBeLessThan(500)
    const first = await readStream(server.url)
    await askJetStream(server.url, 'STREAM.PURGE.ALERTS')
    expect(await running.exited()).toBe(0)
    const { missing } = countNumbered([...first, ...(await readStream(server.url))], 500)
    expect(missing).toBe(0)
  })

  it('an account over its limit, until it is purged', async () => {
    using dir = tempDir()
    const config = `jetstream { store_dir: "${dir.file('jetstream')}" }
      accounts { A { users: [{ user: f, password: p }], jetstream { max_file: 64KiB, max_streams: 1 } } }
      no_auth_user: f`
    await using server = await startNats(config)
    await createStream(server.url)
    await using running = falcoNats(['-f', '-', '-s', server.url, '--jetstream'])
    running.child.stdin.end(numbered(500))
    const { trouble, reason } = await running.logged('JetStream has no storage left')
    expect([trouble, reason]).toEqual(['out_of_storage', 'resource limits exceeded for account'])
    const first = await readStream(server.url)
    await askJetStream(server.url, 'STREAM.PURGE.ALERTS')
    expect(await running.exited()).toBe(0)
    const { missing } = countNumbered([...first, ...(await readStream(server.url))], 500)
    expect(missing).toBe(0)
    // The same for a stream that the account has no place for.
    const create = ['--create-stream', '--stream', 'MORE', '--subject', 'more.<rule>']
    await using second = falcoNats(['-f', '-', '-s', server.url, '--jetstream', ...create])
    expect(await second.logged('cannot make the stream')).toMatchObject({
      trouble: 'out_of_storage',
      reason: 'maximum number of streams reached',
      msg: expect.stringContaining('give the server or the account more'),
    })
  })

  it('a sealed stream, until it is another', async () => {
    await using set = await setUp()
    const { url } = set.server
    await createStream(url)
    const { config } = await askJetStream(url, 'STREAM.INFO.ALERTS')
    await askJetStream(url, 'STREAM.UPDATE.ALERTS', { ...config, sealed: true })
    await using running = falcoNats(set.args)
    running.child.stdin.end(numbered(20))
    expect(await running.logged('the stream ALERTS takes')).toMatchObject({
      trouble: 'unsuitable_stream',
      reason: 'invalid operation on sealed stream',
    })
    await askJetStream(url, 'STREAM.DELETE.ALERTS')
    await createStream(url)
    expect(await running.exited()).toBe(0)
    expect(await streamCount(url)).toBe(20)
  })

  it('another stream than the expected one, until it is another', async () => {
    await using set = await setUp()
    const { url } = set.server
    await createStream(url)
    await using running = falcoNats([...set.args, '--stream', 'FALCO'])
    running.child.stdin.end(numbered(20))
    expect(await running.logged('the stream ALERTS takes')).toMatchObject({
      trouble: 'wrong_stream',
    })
    expect(await streamCount(url)).toBe(0)
    await askJetStream(url, 'STREAM.DELETE.ALERTS')
    await askJetStream(url, 'STREAM.CREATE.FALCO', { name: 'FALCO', subjects: ['falco.>'] })
    expect(await running.exited()).toBe(0)
    const { state } = await askJetStream(url, 'STREAM.INFO.FALCO')
    expect(state.messages).toBe(20)
  })

  it('what the stream never takes is lost, counted, and holds nobody up', async () => {
    await using set = await setUp({ config: 'max_payload: 4096' })
    await createStream(set.server.url, { max_msg_size: 1000 })
    const lines = [numberedAlert(0), numberedAlert(1).padEnd(2000), numberedAlert(2)]
    // With its headers this one is over the server's limit, alone it is not.
    lines.push(numberedAlert(3).padEnd(4090), numberedAlert(4))
    const { code, log } = await runFalcoNats(set.args, { input: lines.join('\n') })
    expect(code).toBe(1)
    expect(log.at(-1)).toMatchObject({
      delivered: 3,
      reasons: { exceeds_max_payload: 1, refused_by_stream: 1 },
      left: 0,
    })
  })

  it('what the server denies is lost, counted, and holds nobody up', async () => {
    await using set = await setUp({
      config: `authorization { users: [
        { user: f, password: p, permissions: { publish: { deny: "falco.*.secret" } } }
        { user: r, password: p } ] }
        no_auth_user: r`,
    })
    await createStream(set.server.url)
    const lines = Array.from({ length: 900 }, (_, n) => numberedAlert(n, n % 3 ? 'Open' : 'Secret'))
    const { code, log } = await runFalcoNats(
      [...set.args, '--user', 'f', '--max-in-flight', '50'],
      {
        env: { NATS_PASSWORD: 'p' },
        input: lines.join('\n'),
      },
    )
    expect(code).toBe(1)
    expect(log.at(-1)).toMatchObject({ delivered: 600, reasons: { permission_denied: 300 } })
    expect(await streamCount(set.server.url)).toBe(600)
  })
})

describe('--create-stream', () => {
  it('makes the stream as documented', async () => {
    await using set = await setUp()
    const { code, log } = await runFalcoNats([...set.args, '--create-stream'], {
      input: numbered(10),
    })
    expect(code).toBe(0)
    expect(log.map(({ msg }) => msg)).toContain('made the stream')
    const { config, state } = await askJetStream(set.server.url, 'STREAM.INFO.FALCO')
    expect(state.messages).toBe(10)
    expect(config).toMatchObject({
      subjects: ['falco.>'],
      storage: 'file',
      discard: 'old',
      retention: 'limits',
      max_age: 7 * 86_400 * 1e9,
      duplicate_window: 120 * 1e9,
    })
  })

  it('takes its options, and makes it again when it is deleted', async () => {
    await using set = await setUp()
    const { url } = set.server
    const more = ['--create-stream', '--stream', 'S', '--stream-max-age', '0']
    await using running = falcoNats([...set.args, ...more, '--duplicate-window', '1h'])
    await running.logged('made the stream')
    const made = await askJetStream(url, 'STREAM.INFO.S')
    expect(made.config).toMatchObject({ max_age: 0, duplicate_window: 3600 * 1e9 })
    await askJetStream(url, 'STREAM.DELETE.S')
    running.child.stdin.end(numbered(10))
    expect(await running.exited()).toBe(0)
    expect((await askJetStream(url, 'STREAM.INFO.S')).state.messages).toBe(10)
  })

  it('leaves a stream that is there alone', async () => {
    await using set = await setUp()
    const { url } = set.server
    await createStream(url, { max_age: 1e12 })
    const { config } = await askJetStream(url, 'STREAM.INFO.ALERTS')
    const more = ['--create-stream', '--stream', 'ALERTS']
    const { code, log } = await runFalcoNats([...set.args, ...more], { input: numbered(10) })
    expect(code).toBe(0)
    expect(log.map(({ msg }) => msg)).not.toContain('made the stream')
    expect((await askJetStream(url, 'STREAM.INFO.ALERTS')).config).toEqual(config)
  })

  it('says why it cannot, once, while it keeps trying', async () => {
    await using server = await startNats()
    await using running = falcoNats([
      ...['-f', '-', '-s', server.url, '--jetstream', '--create-stream', '--drain-timeout', '1s'],
    ])
    running.child.stdin.write(numbered(10))
    await running.logged('cannot make the stream')
    await running.logged('no stream takes')
    running.child.kill('SIGTERM')
    expect(await running.exited()).toBe(1)
    expect(warnings(running)).toHaveLength(2)
    expect(running.log().at(-1)).toMatchObject({ delivered: 0, left: 10 })
  })
})
