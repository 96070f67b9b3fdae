// Outages that outlast the pipe: the buffer, the spool, and our own end, as processes.

import { readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { DatabaseSync } from 'node:sqlite'
import { expect, it } from 'vitest'
import { falcoNats, memoryKiB, type Running, runFalcoNats, stopped } from '../support/cli.ts'
import { type NatsServer, readStream, startNats, streamCount, subscribe } from '../support/nats.ts'
import { countNumbered, writePipe } from '../support/pipe.ts'
import { startProxy } from '../support/proxy.ts'
import { expectBalanced, haveRead, SCRAPED, scrape, total } from '../support/scrape.ts'
import { type TempDir, tempDir } from '../support/temp.ts'
import { until } from '../support/wait.ts'

const LOAD = 100_000
const MIB = 1024 * 1024

function start(dir: TempDir, server: Pick<NatsServer, 'url'>, ...more: string[]): Running {
  const args = ['-f', dir.file('nats'), '-s', server.url, '--spool-dir', dir.file('spool')]
  return falcoNats([...args, ...SCRAPED, ...more])
}

/** For a stop while the server is away. */
const AT_ONCE = ['--drain-timeout', '300ms']

/** Of a stream that may not be there yet. */
const storedIn = (url: string) => streamCount(url).catch(() => 0)

const spooled = async (running: Running) => total(await scrape(running), 'falco_nats_spool_alerts')

const spoolBytes = (dir: TempDir) =>
  readdirSync(dir.file('spool')).reduce(
    (sum, file) => sum + statSync(`${dir.file('spool')}/${file}`).size,
    0,
  )

it('reads on while the server is away, and delivers all in order when it is back', async () => {
  using dir = tempDir()
  await using server = await startNats('', { started: false })
  await using running = start(dir, server, '--buffer-bytes', '2MiB')
  await using writing = await writePipe(dir.file('nats'), `numbered:${LOAD}`, 65536)
  // Nobody has to wait although 12 MB come and the buffer holds two.
  expect(await writing.done()).toBe(0)
  await server.start()
  await using subscriber = await subscribe(server.url)
  await subscriber.count(1)
  const { code, last } = await stopped(running)
  expect(code).toBe(0)
  expect(last).toMatchObject({ read: LOAD, delivered: LOAD, left: 0 })
  expect(last.spooled).toBeUndefined()
})

it('keeps what is undelivered at a stop for the next start, in order', async () => {
  using dir = tempDir()
  await using server = await startNats('', { started: false })
  {
    await using running = start(dir, server, ...AT_ONCE)
    await using writing = await writePipe(dir.file('nats'), `numbered:${LOAD}`, 65536)
    expect(await writing.done()).toBe(0)
    await haveRead(running, LOAD)
    const { code, last } = await stopped(running)
    expect(code).toBe(0)
    expect(last).toMatchObject({
      msg: `done: ${LOAD} alerts wait in the spool for the next start`,
      read: LOAD,
      spooled: LOAD,
      left: 0,
    })
  }
  await server.start()
  await using subscriber = await subscribe(server.url)
  await using running = start(dir, server)
  await subscriber.count(LOAD)
  expect(countNumbered(subscriber.messages, LOAD)).toEqual({
    missing: 0,
    duplicates: 0,
    inOrder: true,
  })
  const { code, last } = await stopped(running)
  expect(code).toBe(0)
  expect(last).toMatchObject({ read: 0, restored: LOAD, delivered: LOAD, left: 0 })
})

it('reads on while the spool drains over a slow line', async () => {
  using dir = tempDir()
  const earlier = 20_000
  await using server = await startNats('', { started: false })
  await using proxy = await startProxy(server.port, { delayMs: 50, bytesPerSecond: 100_000 })
  const args = ['--buffer-bytes', '1MiB', ...AT_ONCE]
  {
    await using running = start(dir, server, ...args)
    await using writing = await writePipe(dir.file('nats'), `numbered:${earlier}`, 65536)
    expect(await writing.done()).toBe(0)
    await haveRead(running, earlier)
    expect((await stopped(running)).last).toMatchObject({ spooled: earlier, left: 0 })
  }
  await server.start()
  await using subscriber = await subscribe(server.url)
  {
    await using running = start(dir, proxy, ...args)
    await subscriber.count(1)
    // 12 MB, of which the line would have to take most before the writer could end.
    await using writing = await writePipe(dir.file('nats'), `numbered:${LOAD}`, 65536)
    expect(await writing.done()).toBe(0)
    await haveRead(running, LOAD)
    expect(subscriber.messages.length).toBeLessThan(earlier)
    const { code, last } = await stopped(running)
    expect(code).toBe(0)
    expect(last).toMatchObject({ read: LOAD, left: 0 })
    expect(last.spooled).toBeGreaterThan(LOAD)
    // Or what the line still carries would come in between.
    proxy.cut()
  }
  await using running = start(dir, server, ...args)
  const numbers = () =>
    subscriber.messages.map(({ data }) => JSON.parse(String(data)).output_fields.n as number)
  await until('the last has come', () => numbers().at(-1) === LOAD - 1)
  expect((await stopped(running)).code).toBe(0)
  expect(numbers().slice(-LOAD)).toEqual(Array.from({ length: LOAD }, (_, n) => n))
  // What was on its way at the stop has come twice.
  expect(new Set(numbers().slice(0, -LOAD)).size).toBe(earlier)
})

it('has on disk, when it is killed, what came a second before', async () => {
  using dir = tempDir()
  await using server = await startNats('', { started: false })
  {
    await using running = start(dir, server)
    await using writing = await writePipe(dir.file('nats'), 'numbered:1000', 'falco')
    expect(await writing.done()).toBe(0)
    await until('all is on disk', async () => (await spooled(running)) === 1000)
    running.child.kill('SIGKILL')
    await running.exited()
  }
  await server.start()
  await using subscriber = await subscribe(server.url)
  {
    // And once more while it drains.
    await using running = start(dir, server)
    await subscriber.count(1)
    running.child.kill('SIGKILL')
    await running.exited()
  }
  await using running = start(dir, server)
  await until('all have come', () => countNumbered(subscriber.messages, 1000).missing === 0)
  expect((await stopped(running)).code).toBe(0)
})

it('stores each alert once in a stream, although it is killed while it drains the spool', async () => {
  using dir = tempDir()
  const config = `jetstream { store_dir: "${dir.file('jetstream')}" }`
  await using server = await startNats(config, { started: false })
  const jetstream = ['--jetstream', '--create-stream', '--stream', 'ALERTS']
  {
    await using running = start(dir, server, ...jetstream, ...AT_ONCE)
    await using writing = await writePipe(dir.file('nats'), 'numbered:20000', 65536)
    expect(await writing.done()).toBe(0)
    await haveRead(running, 20_000)
    expect((await stopped(running)).last).toMatchObject({ spooled: 20_000, left: 0 })
  }
  await server.start()
  for (let kills = 1; kills <= 2; kills++) {
    await using running = start(dir, server, ...jetstream)
    await running.logged('connected')
    const enough = kills * 5_000
    await until(`${enough} are stored`, async () => (await storedIn(server.url)) >= enough)
    running.child.kill('SIGKILL')
    await running.exited()
  }
  await using running = start(dir, server, ...jetstream)
  await running.logged('connected')
  const { code, last } = await stopped(running)
  expect(code).toBe(0)
  expect(last).toMatchObject({ delivered: last.restored, left: 0 })
  const stored = await readStream(server.url)
  expect(countNumbered(stored, 20_000)).toMatchObject({ missing: 0, duplicates: 0 })
  console.info(`${last.duplicates ?? 0} were in the stream already`)
})

it('stays within its limits on disk and in memory, and then lets Falco wait', async () => {
  using dir = tempDir()
  await using server = await startNats('', { started: false })
  await using running = start(dir, server, '--buffer-bytes', '2MiB', '--spool-bytes', '8MiB')
  await running.logged('cannot connect')
  const before = memoryKiB(running.child.pid!)
  await using writing = await writePipe(dir.file('nats'), `numbered:${LOAD}`, 65536)
  await until('the spool is full', () => spoolBytes(dir) > 3 * MIB)
  await until(
    'reading has stopped',
    async () => total(await scrape(running), 'falco_nats_input_paused_seconds_total') > 1,
  )
  expect(writing.child.exitCode).toBeNull()
  const waits = await running.logged('Falco waits: there is no room for more alerts')
  expect(waits).toMatchObject({ full: 'buffer and spool', connected: false })
  const grown = memoryKiB(running.child.pid!) - before
  console.info(`12 MB offered: spool ${spoolBytes(dir)} bytes, RSS grew by ${grown} KiB`)
  expect(spoolBytes(dir)).toBeLessThanOrEqual(8 * MIB)
  expect(grown).toBeLessThan(40 * 1024)
  await server.start()
  expect(await writing.done()).toBe(0)
  const { code, last: sums } = await stopped(running)
  expect(code).toBe(0)
  expect(sums).toMatchObject({ read: LOAD, delivered: LOAD })
})

it('drops what it must, and says so, when it is told not to wait', async () => {
  using dir = tempDir()
  await using server = await startNats('', { started: false })
  await using running = start(
    dir,
    server,
    '--buffer-bytes',
    '1MiB',
    '--spool-bytes',
    '4MiB',
    '--when-full',
    'drop',
    ...AT_ONCE,
  )
  await using writing = await writePipe(dir.file('nats'), `numbered:${LOAD}`, 65536)
  expect(await writing.done()).toBe(0)
  await haveRead(running, LOAD)
  expect(await running.logged('dropping alerts')).toMatchObject({
    full: 'buffer and spool',
    connected: false,
    dropped: { notice: expect.any(Number) },
  })
  const { code, last } = await stopped(running)
  expect(code).toBe(1)
  const dropped = (last.dropped as { notice: number }).notice
  expect(last.msg).toMatch(new RegExp(`${dropped} dropped because buffer and spool were full`))
  expect(dropped).toBeGreaterThan(LOAD / 4)
  expect((last.spooled as number) + dropped).toBe(LOAD)
})

it('goes on behind a row in which a byte has changed', async () => {
  using dir = tempDir()
  await using server = await startNats('', { started: false })
  {
    await using running = start(dir, server)
    await using writing = await writePipe(dir.file('nats'), 'numbered:5000', 65536)
    expect(await writing.done()).toBe(0)
    expect((await stopped(running)).last).toMatchObject({ spooled: 5000 })
  }
  const inRow = (sql: string): Record<string, number> => {
    using database = new DatabaseSync(dir.file('spool/spool.db'))
    return database.prepare(sql).get() as Record<string, number>
  }
  const text = 'CAST(lines AS TEXT)'
  const [last, inner] = [
    `rtrim(${text}, char(10)) || char(11)`,
    `replace(${text}, '}' || char(10) || '{', '}' || char(11) || '{')`,
  ]
  inRow(`UPDATE batches SET lines = CAST(${last} AS BLOB) WHERE id = 2`)
  inRow(`UPDATE batches SET lines = CAST(${inner} AS BLOB) WHERE id = 3`)
  const { lost } = inRow('SELECT sum(alerts) lost FROM batches WHERE id IN (2, 3)') as {
    lost: number
  }
  await server.start()
  await using subscriber = await subscribe(server.url)
  {
    await using running = start(dir, server, ...SCRAPED)
    expect(await running.logged('the spool has damaged rows')).toMatchObject({
      rows: 2,
      alerts: lost,
    })
    await subscriber.count(5000 - lost)
    const damaged = 'falco_nats_alerts_dropped_total{reason="spool_damaged",priority="unknown"}'
    expect((await expectBalanced(running)).get(damaged)).toBe(lost)
    const { code, last: sums } = await stopped(running)
    expect(sums).toMatchObject({
      restored: 5000,
      delivered: 5000 - lost,
      unreadable: lost,
      left: 0,
    })
    expect(sums.msg).toMatch(/unreadable in a damaged spool/)
    expect(code).toBe(1)
  }
  expect(countNumbered(subscriber.messages, 5000)).toMatchObject({ missing: lost, inOrder: true })
  expect(inRow('SELECT sum(alerts) kept FROM damaged')).toEqual({ kept: lost })
  await using next = start(dir, server)
  await next.logged('connected')
  expect((await stopped(next)).code).toBe(0)
})

it('leaves the spool alone while all is well', async () => {
  using dir = tempDir()
  await using server = await startNats()
  await using subscriber = await subscribe(server.url)
  await using running = start(dir, server)
  await running.logged('connected')
  const before = readdirSync(dir.file('spool')).map((file) => statSync(dir.file(`spool/${file}`)))
  await using _writing = await writePipe(dir.file('nats'), 'numbered:5000', 'falco')
  await subscriber.count(5000)
  const after = readdirSync(dir.file('spool')).map((file) => statSync(dir.file(`spool/${file}`)))
  expect(after.map(({ mtimeMs, size }) => [mtimeMs, size])).toEqual(
    before.map(({ mtimeMs, size }) => [mtimeMs, size]),
  )
  expect((await stopped(running)).code).toBe(0)
})

it('refuses a spool that another process has', async () => {
  using dir = tempDir()
  await using server = await startNats('', { started: false })
  await using first = start(dir, server)
  await first.logged('reading')
  await using second = falcoNats(['-f', dir.file('other'), '--spool-dir', dir.file('spool')])
  expect(await second.exited()).toBe(1)
  expect(second.stderr()).toMatch(/spool is in use by another process/)
  const other = await runFalcoNats(['--check', '-f', '-', '--spool-dir', dir.file('spool')])
  expect(other.stdout.toString()).toMatch(/^FAIL {2}spool: .* in use by another process/m)
  const own = await runFalcoNats(['--check', '-f', '-', '--spool-dir', dir.file('own')])
  expect(own.stdout.toString()).toMatch(/^ok {4}spool: .*own takes 256 MiB, 0 alerts wait in it$/m)
})

it('forwards from memory where the spool cannot be used, and moves a damaged one aside', async () => {
  using dir = tempDir()
  await using server = await startNats()
  await using subscriber = await subscribe(server.url)
  writeFileSync(dir.file('spool'), 'a file, no directory')
  {
    await using running = start(dir, server)
    await using writing = await writePipe(dir.file('nats'), 'numbered:10', 0)
    expect(await writing.done()).toBe(0)
    await subscriber.count(10)
    expect(total(await scrape(running), 'falco_nats_spool_errors_total')).toBe(1)
    expect(running.log().find(({ level }) => level === 'error')!.msg).toBe(
      'the spool cannot be used: going on without it, from memory',
    )
    expect((await stopped(running)).code).toBe(0)
  }
  await using running = start(dir, server, '--spool-dir', dir.file('second'))
  await running.logged('reading')
  expect((await stopped(running)).code).toBe(0)
  writeFileSync(dir.file('second/spool.db'), 'damaged '.repeat(1000))
  await using again = start(dir, server, '--spool-dir', dir.file('second'))
  const { movedTo } = await again.logged('moved aside')
  expect(readFileSync(movedTo as string, 'utf8')).toMatch(/^damaged/)
  expect((await stopped(again)).code).toBe(0)
})
