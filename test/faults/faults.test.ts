// Faults under load, each with an exact count at its end. Short here; `npm run test:faults` is long.
// The server, our program and the writer, which opens the pipe for each alert as Falco does, are
// processes of their own. What outage.test.ts and forward.test.ts show is not shown again.

import { execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import { openSync, statSync, writeFileSync } from 'node:fs'
import { DatabaseSync } from 'node:sqlite'
import { setTimeout as delay } from 'node:timers/promises'
import { describe, expect, it } from 'vitest'
import {
  falcoNats,
  type LogLine,
  memoryKiB,
  preloaded,
  type Running,
  stopped as stoppedAtOnce,
} from '../support/cli.ts'
import { mountDisk, smallDisk } from '../support/disk.ts'
import { numberedAlert } from '../support/fixtures.ts'
import {
  createStream,
  type Received,
  readStream,
  startCluster,
  startNats,
  streamCount,
  subscribe,
} from '../support/nats.ts'
import { countNumbered, writePipe } from '../support/pipe.ts'
import { startProxy } from '../support/proxy.ts'
import { expectBalanced, haveRead, SCRAPED, scrape, total } from '../support/scrape.ts'
import { type TempDir, tempDir } from '../support/temp.ts'
import { until } from '../support/wait.ts'

const LONG = process.env.FAULTS === 'long'
/** Each scenario is run by core NATS, and by JetStream where FAULTS_MODE says so. */
const JETSTREAM = process.env.FAULTS_MODE === 'jetstream'
const SERVER_CONFIG = JETSTREAM ? 'jetstream { store_dir: "jetstream" }' : ''
const MODE_ARGS = JETSTREAM ? ['--jetstream', '--create-stream', '--stream', 'ALERTS'] : []
const LOAD = LONG ? 50_000 : 3000
/** Alerts a second: slow enough for a fault to come in the middle. */
const RATE = LONG ? 2000 : 1000
const RESTARTS = LONG ? 10 : 3
const FREEZE_MS = LONG ? 20_000 : 3000
/** How long all of one scenario may take. */
const TIMEOUT_MS = LONG ? 300_000 : 120_000
const NONE_LOST = { missing: 0, duplicates: 0, inOrder: true }

const write = (dir: TempDir, alerts: number | string = LOAD, rate = RATE) =>
  writePipe(
    dir.file('nats'),
    typeof alerts === 'number' ? `numbered:${alerts}` : alerts,
    `falco@${rate}`,
  )

interface Start {
  readonly args?: readonly string[]
  readonly program?: string[]
}

function start(dir: TempDir, url: string, { args = [], ...options }: Start = {}): Running {
  const base = ['-f', dir.file('nats'), '-s', url, '--spool-dir', dir.file('spool'), ...SCRAPED]
  return falcoNats([...base, ...MODE_ARGS, ...args], options)
}

/** Every scenario ends, at the latest, with books that balance. */
async function stopped(running: Running) {
  await expectBalanced(running)
  return await stoppedAtOnce(running)
}

/** Counts, and prints one row of the table. */
function report(scenario: string, messages: readonly Received[], sent: number) {
  const counted = countNumbered(messages, sent)
  const { missing, duplicates, inOrder } = counted
  console.info([scenario, sent, sent - missing, missing, duplicates, inOrder].join(' | '))
  return counted
}

/** Each came, in order, and twice only what was sent again: a busy machine freezes a server for longer than meant. */
function expectOnce(counted: ReturnType<typeof countNumbered>, { resent }: LogLine) {
  expect(counted).toEqual({ ...NONE_LOST, duplicates: expect.any(Number) })
  expect(counted.duplicates).toBeLessThanOrEqual(resent as number)
}

/** Waits until every number has come at least once. */
const allHaveCome = (messages: readonly Received[], sent = LOAD) =>
  until(
    'all have come',
    () => messages.length >= sent && countNumbered(messages, sent).missing === 0,
    TIMEOUT_MS,
  )

/** One writer, one process of ours, and a fault after a fifth of the load. */
async function underLoad(
  scenario: string,
  url: string,
  subscriber: { messages: Received[]; count(count: number): Promise<void> },
  fault: (running: Running) => Promise<void>,
  options: Start & { losing?: boolean; keptAt?: () => string; dir?: TempDir } = {},
) {
  using ownDir = tempDir()
  const dir = options.dir ?? ownDir
  await using running = start(dir, url, options)
  await running.logged('connected')
  // Not under load: the first scrape takes a while, and the fault is to come in the middle.
  await expectBalanced(running)
  await using writing = await write(dir)
  await subscriber.count(LOAD / 5)
  await fault(running)
  await expectBalanced(running)
  expect(await writing.done()).toBe(0)
  if (!options.losing) await allHaveCome(subscriber.messages)
  const { code, last } = await stopped(running)
  expect(code).toBe(0)
  expect(last).toMatchObject({ read: LOAD, delivered: LOAD, left: 0 })
  const messages = options.keptAt ? await readStream(options.keptAt()) : subscriber.messages
  return { log: running.log(), last, ...report(scenario, messages, LOAD) }
}

const logged = (log: readonly { msg: string }[], text: string) =>
  log.filter(({ msg }) => msg.startsWith(text)).length

describe('the server', () => {
  it(
    `1: killed and restarted ${RESTARTS} times`,
    async () => {
      using dir = tempDir()
      await using server = await startNats(`jetstream { store_dir: "${dir.file('jetstream')}" }`)
      await createStream(server.url)
      await using running = start(dir, server.url)
      await running.logged('connected')
      await using writing = await write(dir)
      for (let restarts = 1; restarts <= RESTARTS; restarts++) {
        const enough = (restarts * LOAD) / (RESTARTS + 2)
        await until(
          `${enough} are kept`,
          async () => (await streamCount(server.url)) >= enough,
          TIMEOUT_MS,
        )
        await server.stop('SIGKILL')
        await server.start()
      }
      expect(await writing.done()).toBe(0)
      const { code, last } = await stopped(running)
      expect(code).toBe(0)
      expect(last).toMatchObject({ read: LOAD, delivered: LOAD, left: 0 })
      const { missing } = report('1 server killed', await readStream(server.url), LOAD)
      expect(missing).toBe(0)
    },
    TIMEOUT_MS,
  )

  it(
    `2: frozen for ${FREEZE_MS} ms`,
    async () => {
      await using server = await startNats(SERVER_CONFIG)
      await using subscriber = await subscribe(server.url)
      const { log, missing, inOrder } = await underLoad(
        '2 server frozen',
        server.url,
        subscriber,
        async () => {
          server.freeze()
          await delay(FREEZE_MS)
          server.thaw()
        },
      )
      expect({ missing, inOrder }).toEqual({ missing: 0, inOrder: true })
      // It is let go of after 20 to 30 seconds, not before.
      if (!LONG) expect(logged(log, 'disconnected')).toBe(0)
    },
    TIMEOUT_MS,
  )

  it(
    '10: the node that we are on is killed, in a cluster of three',
    async () => {
      await using cluster = await startFaultCluster()
      const [first, , third] = cluster.nodes
      await using subscriber = await subscribe(third!.url)
      const { log, missing, duplicates } = await underLoad(
        '10 node killed',
        first!.url,
        subscriber,
        () => first!.stop('SIGKILL'),
        { losing: true, ...(JETSTREAM && { keptAt: () => third!.url }) },
      )
      expect(logged(log, 'connected')).toBe(2)
      if (JETSTREAM) {
        // Two of three nodes have what was acknowledged, and know its id.
        expect({ missing, duplicates }).toEqual({ missing: 0, duplicates: 0 })
        return
      }
      // The killed node may have confirmed what it had not passed on yet: a PONG in core NATS is
      // the word of one node. That is what was on its way in one moment, and no more.
      expect(missing).toBeLessThan(RATE / 10)
      const missed = missingNumbers(subscriber.messages)
      expect(missed.length === 0 || missed.at(-1)! - missed[0]! + 1 === missing).toBe(true)
    },
    2 * TIMEOUT_MS,
  )

  it(
    '11: the node that we are on becomes a lame duck',
    async () => {
      await using cluster = await startFaultCluster(
        'lame_duck_duration: "30s"\nlame_duck_grace_period: "1s"',
      )
      const [first, second] = cluster.nodes
      await using subscriber = await subscribe(second!.url)
      const { log, missing, inOrder } = await underLoad(
        '11 lame duck',
        first!.url,
        subscriber,
        async (running) => {
          first!.lameDuck()
          await until('it is on another node', () => logged(running.log(), 'connected') === 2)
        },
        JETSTREAM ? { keptAt: () => second!.url } : {},
      )
      expect(missing).toBe(0)
      if (!JETSTREAM) expect(inOrder).toBe(true)
      expect(log.filter(({ msg }) => msg === 'connected').at(-1)!.server).not.toBe(first!.url)
    },
    2 * TIMEOUT_MS,
  )
})

/** Three servers, and by JetStream a stream that all of them keep. */
async function startFaultCluster(config = '') {
  const cluster = await startCluster(3, `${SERVER_CONFIG}\n${config}`)
  const create = () => createStream(cluster.nodes[0]!.url, { num_replicas: 3 })
  // They have to elect somebody first.
  if (JETSTREAM)
    await until('the stream is made', () =>
      create().then(
        () => true,
        () => false,
      ),
    )
  return cluster
}

describe('the network', () => {
  it.each([
    ['in the middle of a PUB line', 'cutWithin', 'PUB falco.notice.terminal'],
    ['in the middle of an alert', 'cutWithin', '"source":"syscall"}'],
    ['in the middle of a PING', 'cutWithin', 'PING\r\n'],
    ['right before the PONG', 'cutBefore', 'PONG'],
  ] as const)(
    '3: cut %s',
    async (where, cut, text) => {
      await using server = await startNats(SERVER_CONFIG)
      await using proxy = await startProxy(server.port)
      await using subscriber = await subscribe(server.url)
      const { log, last, missing, duplicates, inOrder } = await underLoad(
        `3 cut ${where}`,
        proxy.url,
        subscriber,
        async (running) => {
          let sprung = proxy[cut](text)
          for (let cuts = 1; cuts <= RESTARTS; cuts++) {
            await sprung
            const back = until('it is back', () => logged(running.log(), 'connected') > cuts)
            // What was cut is sent again, although nothing more may come. A PING comes by itself,
            // and with each connection: that one must not be cut.
            if (/^P[IO]NG/.test(text)) await back
            if (cuts < RESTARTS) sprung = proxy[cut](text)
            await back
          }
        },
      )
      expect({ missing, inOrder }).toEqual({ missing: 0, inOrder: true })
      expect(duplicates).toBeLessThanOrEqual(last.resent as number)
      expect(logged(log, 'disconnected')).toBe(RESTARTS)
    },
    TIMEOUT_MS,
  )

  it(
    '12: slow, 200 kB/s and 50 ms late',
    async () => {
      const sent = LONG ? 30_000 : 10_000
      using dir = tempDir()
      await using server = await startNats(SERVER_CONFIG)
      await using proxy = await startProxy(server.port, { delayMs: 50, bytesPerSecond: 200_000 })
      await using subscriber = await subscribe(server.url)
      const args = ['--buffer-bytes', '512KiB', ...SCRAPED]
      await using running = falcoNats(['-f', dir.file('nats'), '-s', proxy.url, ...args])
      await running.logged('connected')
      const before = memoryKiB(running.child.pid!)
      // Ten times as much as gets through.
      await using writing = await write(dir, sent, 15_000)
      await allHaveCome(subscriber.messages, sent)
      const grown = memoryKiB(running.child.pid!, 'VmHWM') - before
      expect(await writing.done()).toBe(0)
      expect((await stopped(running)).code).toBe(0)
      expect(report('12 slow network', subscriber.messages, sent)).toEqual(NONE_LOST)
      console.info(`12 slow network: RSS grew by ${grown} KiB at most, the buffer is 512 KiB`)
      // The constant is README's, for a flood against a frozen server.
      expect(grown).toBeLessThan(512 + 24 * 1024)
    },
    TIMEOUT_MS,
  )
})

function missingNumbers(messages: readonly Received[], sent = LOAD): number[] {
  const come = new Set(messages.map(numberOf))
  return Array.from({ length: sent }, (_, n) => n).filter((n) => !come.has(n))
}

const numberOf = ({ data }: { data: Buffer }): number => JSON.parse(String(data)).output_fields.n

describe('our process', () => {
  it(
    '5: killed while it spools, and while it drains',
    async () => {
      using dir = tempDir()
      await using server = await startNats(SERVER_CONFIG, { started: false })
      await using first = start(dir, server.url)
      await first.logged('reading')
      await using writing = await write(dir)
      await until('half is on disk', async () => (await spooled(first)) > LOAD / 2)
      first.child.kill('SIGKILL')
      await first.exited()
      const onDisk = spooledNumbers(dir)
      await server.start()
      await using proxy = await startProxy(server.port, { delayMs: 50, bytesPerSecond: 500_000 })
      await using subscriber = await subscribe(server.url)
      {
        await using running = start(dir, proxy.url)
        await subscriber.count(LOAD / 10)
        running.child.kill('SIGKILL')
        await running.exited()
      }
      const left = spooledNumbers(dir)
      await using running = start(dir, server.url)
      expect(await writing.done()).toBe(0)
      const { code, last } = await stopped(running)
      expect(code).toBe(0)
      await subscriber.count((last.restored as number) + (last.read as number))
      const { missing } = report('5 killed', subscriber.messages, LOAD)
      const missed = new Set(missingNumbers(subscriber.messages))
      console.info(`5 killed: ${onDisk.length} on disk, then ${left.length}`)
      expect(left.length).toBeGreaterThan(0)
      expect(onDisk.length).toBeGreaterThan(LOAD / 2)
      expect([...onDisk, ...left].filter((n) => missed.has(n))).toEqual([])
      // What neither the disk nor a writer that had the pipe open had: a fifth of a second, twice.
      expect(missing).toBeLessThan(RATE)
    },
    TIMEOUT_MS,
  )

  it(
    `6: stopped and started ${RESTARTS} times`,
    async () => {
      using dir = tempDir()
      await using server = await startNats(SERVER_CONFIG)
      await using subscriber = await subscribe(server.url)
      let read = 0
      let running = start(dir, server.url)
      await using writing = await write(dir)
      for (let stops = 1; stops <= RESTARTS; stops++) {
        await subscriber.count((stops * LOAD) / (RESTARTS + 2))
        const { code, last } = await stopped(running)
        expect(code).toBe(0)
        expect(last.left).toBe(0)
        read += last.read as number
        running = start(dir, server.url)
      }
      await using _last = running
      expect(await writing.done()).toBe(0)
      const { code, last } = await stopped(running)
      expect(code).toBe(0)
      await subscriber.count(read + (last.read as number))
      expect(report('6 stopped and started', subscriber.messages, LOAD)).toEqual(NONE_LOST)
    },
    TIMEOUT_MS,
  )

  it(
    '6: stopped and started, while a writer opens, writes and closes as fast as it can',
    async () => {
      using dir = tempDir()
      await using server = await startNats(SERVER_CONFIG)
      await using subscriber = await subscribe(server.url)
      const sent = 10 * LOAD
      let running = start(dir, server.url)
      await using writing = await writePipe(dir.file('nats'), `numbered:${sent}`, 'falco')
      for (let stops = 1; stops <= 5; stops++) {
        await subscriber.count((stops * sent) / 8)
        expect((await stopped(running)).code).toBe(0)
        running = start(dir, server.url)
      }
      await using _last = running
      expect(await writing.done()).toBe(0)
      expect((await stopped(running)).code).toBe(0)
      await subscriber.count(sent)
      expect(report('6 at full speed', subscriber.messages, sent)).toEqual(NONE_LOST)
    },
    TIMEOUT_MS,
  )

  it(
    '14: the clock jumps an hour ahead, and two back',
    async () => {
      const jump = `let shift = 0
        const RealDate = Date
        globalThis.Date = class extends RealDate {
          constructor(...args) { args.length ? super(...args) : super(Date.now()) }
          static now() { return RealDate.now() + shift }
        }
        process.on('SIGUSR2', () => { shift = shift > 0 ? -3600e3 : 3600e3 })`
      await using server = await startNats(SERVER_CONFIG)
      await using subscriber = await subscribe(server.url)
      const { log, last, ...counted } = await underLoad(
        '14 clock jumps',
        server.url,
        subscriber,
        async ({ child }) => {
          child.kill('SIGUSR2')
          await subscriber.count(LOAD / 2)
          child.kill('SIGUSR2')
        },
        { program: preloaded(jump) },
      )
      expect(counted).toEqual(NONE_LOST)
      expect(logged(log, 'disconnected')).toBe(0)
      expect(log[0]!.time).not.toBe(last.time)
    },
    TIMEOUT_MS,
  )
})

/** What a spool holds that no process has open. */
function spooledNumbers(dir: TempDir): number[] {
  const database = new DatabaseSync(dir.file('spool/spool.db'))
  const rows = database.prepare('SELECT lines FROM batches ORDER BY id').all()
  database.close()
  return rows.flatMap(({ lines }) =>
    Buffer.from(lines as Uint8Array)
      .toString()
      .trimEnd()
      .split('\n')
      .map((line) => numberOf({ data: Buffer.from(line) })),
  )
}

describe('the writer', () => {
  it(
    '7: killed in the middle of a line, five times',
    async () => {
      const writers = 5
      const each = 200
      using dir = tempDir()
      await using server = await startNats(SERVER_CONFIG)
      await using subscriber = await subscribe(server.url)
      await using running = start(dir, server.url)
      await running.logged('connected')
      for (let round = 0; round < writers; round++) {
        const first = 2 * round * each
        const lines = (from: number) =>
          Array.from({ length: each }, (_, i) => `${numberedAlert(from + i)}\n`).join('')
        writeFileSync(dir.file('half'), lines(first) + numberedAlert(-1).slice(0, 20 + round * 10))
        writeFileSync(dir.file('whole'), lines(first + each))
        // Writes all at once, keeps the pipe open, and waits for more to write.
        const writer = spawn('cat', [dir.file('half'), '-'], {
          stdio: ['pipe', openSync(dir.file('nats'), 'w'), 'ignore'],
        })
        await subscriber.count(first + each)
        writer.kill('SIGKILL')
        await once(writer, 'exit')
        await using writing = await write(dir, dir.file('whole'))
        expect(await writing.done()).toBe(0)
        await subscriber.count(first + 2 * each)
      }
      const { code, last } = await stopped(running)
      expect(code).toBe(0)
      expect(last).toMatchObject({ reasons: { invalid_json: writers }, left: 0 })
      const sent = 2 * writers * each
      expect(report('7 writer killed', subscriber.messages, sent)).toEqual(NONE_LOST)
    },
    TIMEOUT_MS,
  )
})

/** A disk with a journal, in a file: one that the kernel can be made to give up. */
function journaledDisk(path: string): Disposable | undefined {
  const image = `${path}.image`
  writeFileSync(image, Buffer.alloc(16 * 1024 * 1024))
  try {
    execFileSync('mkfs.ext4', ['-q', image], { stdio: 'pipe' })
  } catch (error) {
    console.info(`8: skipped, no mkfs.ext4 here: ${(error as Error).message.trim()}`)
    return undefined
  }
  return mountDisk(path, '-o', 'loop', image)
}

describe('the disk', () => {
  it(
    '8: full',
    async ({ skip }) => {
      const sent = 40_000
      using dir = tempDir()
      using disk = smallDisk(dir.file('spool'))
      if (!disk) return skip()
      await using server = await startNats(SERVER_CONFIG)
      await using subscriber = await subscribe(server.url)
      await using running = start(dir, server.url)
      await running.logged('connected')
      server.freeze()
      await using writing = await write(dir, sent, 20_000)
      const full = await running.logged('the spool cannot be written; holding alerts in memory')
      expect(full.reason).toMatch(/full/)
      expect(await writing.done()).toBe(0)
      server.thaw()
      await allHaveCome(subscriber.messages, sent)
      const { code, last } = await stopped(running)
      expectOnce(report('8 disk full', subscriber.messages, sent), last)
      expect(last).toMatchObject({ read: sent, delivered: sent, left: 0 })
      expect(code).toBe(0)
    },
    TIMEOUT_MS,
  )

  it(
    '8: read-only for one run of three',
    async ({ skip }) => {
      using dir = tempDir()
      using disk = smallDisk(dir.file('spool'))
      if (!disk) return skip()
      await using server = await startNats(SERVER_CONFIG, { started: false })
      const third = Math.floor(LOAD / (LONG ? 10 : 3))
      const round = async (first: number, ...args: string[]) => {
        const lines = Array.from({ length: third }, (_, i) => `${numberedAlert(first + i)}\n`)
        writeFileSync(dir.file('lines'), lines.join(''))
        await using running = start(dir, server.url, { args })
        await using writing = await write(dir, dir.file('lines'))
        expect(await writing.done()).toBe(0)
        await haveRead(running, third)
        return { ...(await stopped(running)), log: running.log() }
      }
      expect(await round(0, '--drain-timeout', '300ms')).toMatchObject({
        code: 0,
        last: { spooled: third },
      })
      await server.start()
      await using subscriber = await subscribe(server.url)
      // A kernel refuses it while files are open for writing, so it is done between two runs.
      execFileSync('mount', ['-o', 'remount,ro', dir.file('spool')])
      const { code, log } = await round(third)
      expect(code).toBe(0)
      expect(logged(log, 'the spool cannot be used: going on without it, from memory')).toBe(1)
      execFileSync('mount', ['-o', 'remount,rw', dir.file('spool')])
      expect((await round(2 * third)).last).toMatchObject({ restored: third, left: 0 })
      await allHaveCome(subscriber.messages, 3 * third)
      const { missing, duplicates } = report('8 disk read-only', subscriber.messages, 3 * third)
      expect({ missing, duplicates }).toEqual({ missing: 0, duplicates: 0 })
    },
    TIMEOUT_MS,
  )

  it(
    '8: read-only from one moment to the next, while it is in use',
    async ({ skip }) => {
      using dir = tempDir()
      using disk = journaledDisk(dir.file('spool'))
      if (!disk) return skip()
      await using server = await startNats(SERVER_CONFIG)
      await using subscriber = await subscribe(server.url)
      const { log, last, ...counted } = await underLoad(
        '8 disk given up by the kernel',
        server.url,
        subscriber,
        async (running) => {
          server.freeze()
          await until('it is spooling', async () => (await spooled(running)) > 0)
          execFileSync('mount', ['-o', 'remount,abort', dir.file('spool')])
          await running.logged('the spool cannot be written; holding alerts in memory')
          server.thaw()
        },
        { dir },
      )
      expectOnce(counted, last)
      expect(logged(log, 'the spool cannot be written')).toBe(1)
    },
    TIMEOUT_MS,
  )

  it(
    '8: spoiled while it is in use',
    async () => {
      using dir = tempDir()
      const sent = 40_000
      await using server = await startNats(SERVER_CONFIG, { started: false })
      await using running = start(dir, server.url, { args: ['--buffer-bytes', '512KiB'] })
      await using writing = await write(dir, sent, 20_000)
      expect(await writing.done()).toBe(0)
      const file = dir.file('spool/spool.db')
      const { size } = statSync(file)
      expect(size).toBeGreaterThan(1024 * 1024)
      writeFileSync(file, Buffer.alloc(size / 2, 7), { flag: 'r+' })
      await server.start()
      await using subscriber = await subscribe(server.url)
      const { code, last } = await stopped(running)
      expect(code).toBe(1)
      const { delivered, unreadable, left } = last as Record<string, number>
      expect(unreadable).toBeGreaterThan(0)
      expect([delivered! + unreadable!, left]).toEqual([sent, 0])
      await subscriber.count(delivered!)
      const { missing, duplicates } = report('8 spool spoiled', subscriber.messages, sent)
      expect([missing, duplicates]).toEqual([unreadable, 0])
      // The next start moves it aside, and goes on.
      await using next = start(dir, server.url)
      await next.logged('the spool was damaged: moved aside, a new one begun')
      expect((await stopped(next)).code).toBe(0)
    },
    TIMEOUT_MS,
  )
})

const spooled = async (running: Running) => total(await scrape(running), 'falco_nats_spool_alerts')
