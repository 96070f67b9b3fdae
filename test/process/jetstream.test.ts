// The program with --jetstream against real servers: what is stored, once.

import { describe, expect, it } from 'vitest'
import { falcoNats, runFalcoNats } from '../support/cli.ts'
import { alertLines, fixture } from '../support/fixtures.ts'
import { complete, setUp } from '../support/jetstream.ts'
import { askJetStream, createStream, readStream, streamCount, subscribe } from '../support/nats.ts'
import { countNumbered, writePipe } from '../support/pipe.ts'
import { tempDir } from '../support/temp.ts'
import { until } from '../support/wait.ts'
import { numbered } from '../support/writer.ts'

describe('what is stored', () => {
  it('is every alert, byte for byte, in order, with an id of its own, once', async () => {
    await using set = await setUp()
    await createStream(set.server.url)
    const input = fixture('alerts.jsonl')
    const first = await runFalcoNats(set.args, { input })
    expect(first.code).toBe(0)
    expect(first.log.at(-1)).toMatchObject({ delivered: 300, resent: 0, left: 0 })
    expect(first.log.at(-1)!.duplicates).toBeUndefined()

    const again = await runFalcoNats(set.args, { input })
    expect(again.code).toBe(0)
    expect(again.log.at(-1)).toMatchObject({ delivered: 300, duplicates: 300, left: 0 })

    const kept = await readStream(set.server.url)
    expect(kept.map(({ data }) => data.toString())).toEqual(alertLines().map(String))
    const ids = kept.map(({ headers }) => headers!.get('Nats-Msg-Id'))
    expect(new Set(ids).size).toBe(300)
    for (const id of ids) expect(id).toMatch(/^[\w-]{22}$/)
    for (const { headers } of kept) expect([...headers!.keys()]).toEqual(['Nats-Msg-Id'])
  })

  it.each([1, 7])('is complete and in order with a window of %i', async (window) => {
    await using set = await setUp()
    await createStream(set.server.url)
    const { code } = await runFalcoNats([...set.args, '--max-in-flight', String(window)], {
      input: numbered(1000),
    })
    expect(code).toBe(0)
    expect(countNumbered(await readStream(set.server.url), 1000)).toEqual(complete)
  })

  it('is complete, and once, although the server is killed three times under load', async () => {
    using dir = tempDir()
    await using set = await setUp()
    await createStream(set.server.url)
    const pipe = dir.file('nats')
    await using running = falcoNats(['-f', pipe, ...set.args.slice(2)])
    await running.logged('connected')
    await using writing = await writePipe(pipe, 'numbered:20000', 65536)
    for (const enough of [3000, 8000, 13000]) {
      await until(`${enough} are kept`, async () => (await streamCount(set.server.url)) >= enough)
      await set.server.stop('SIGKILL')
      await set.server.start()
    }
    expect(await writing.done()).toBe(0)
    running.child.kill('SIGTERM')
    expect(await running.exited()).toBe(0)
    expect(running.log().at(-1)).toMatchObject({ read: 20_000, delivered: 20_000, left: 0 })
    const { missing, duplicates } = countNumbered(await readStream(set.server.url), 20_000)
    expect({ missing, duplicates }).toEqual({ missing: 0, duplicates: 0 })
  })

  it('is complete although the stream is deleted and made again under load', async () => {
    using dir = tempDir()
    await using set = await setUp()
    const { url } = set.server
    await createStream(url)
    const pipe = dir.file('nats')
    await using running = falcoNats(['-f', pipe, ...set.args.slice(2)])
    // At full speed all might be there before the stream is deleted.
    await using writing = await writePipe(pipe, 'numbered:20000', 'falco@5000')
    await until('some are kept', async () => (await streamCount(url)) > 2000)
    await askJetStream(url, 'STREAM.DELETE.ALERTS')
    await running.logged('no stream takes')
    await createStream(url)
    expect(await writing.done()).toBe(0)
    running.child.kill('SIGTERM')
    expect(await running.exited()).toBe(0)
    expect(running.log().at(-1)).toMatchObject({ read: 20_000, delivered: 20_000, left: 0 })
    // What the old stream had acknowledged went with it; nothing that came later is missing.
    const numbers = (await readStream(url)).map(({ data }) => JSON.parse(String(data)))
    const kept = new Set(numbers.map(({ output_fields }) => output_fields.n as number))
    const first = Math.min(...kept)
    expect(first).toBeGreaterThan(0)
    expect(kept.size).toBe(20_000 - first)
    expect(numbers.length).toBe(kept.size)
  })
})

describe('the window', () => {
  it('holds: what is not acknowledged is never more, and is stored when a stream comes', async () => {
    await using set = await setUp()
    // A plain subscriber sees all that is published, and hides that there is no stream.
    await using subscriber = await subscribe(set.server.url)
    await using running = falcoNats([...set.args, '--max-in-flight', '10'])
    running.child.stdin.end(numbered(100))
    await running.logged('JetStream does not answer')
    // One of them may have been tried again by now.
    const published = new Set(subscriber.messages.map(({ data }) => data.toString()))
    expect(published.size).toBe(10)
    await createStream(set.server.url)
    expect(await running.exited()).toBe(0)
    expect(countNumbered(await readStream(set.server.url), 100)).toEqual(complete)
    expect(running.log().map(({ msg }) => msg)).toContain('JetStream acknowledges again')
  })
})

describe('--check', () => {
  it('says which stream takes the alerts, or how to make one', async () => {
    await using set = await setUp()
    const args = [...set.args, '--check']
    const missing = await runFalcoNats(args)
    expect(missing.code).toBe(1)
    expect(String(missing.stdout)).toMatch(
      /FAIL {2}stream: .*no stream takes falco\.notice\.check; .*nats stream add FALCO/,
    )
    const toMake = await runFalcoNats([...args, '--create-stream'])
    expect(toMake.code).toBe(0)
    expect(String(toMake.stdout)).toContain('FALCO will be made for falco.>')
    await createStream(set.server.url)
    const there = await runFalcoNats(args)
    expect(there.code).toBe(0)
    expect(String(there.stdout)).toContain('ALERTS takes falco.notice.check')
    const other = await runFalcoNats([...args, '--stream', 'FALCO'])
    expect(other.code).toBe(1)
    expect(String(other.stdout)).toContain('ALERTS takes falco.notice.check, not FALCO')
  })
})
