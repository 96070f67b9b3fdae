// Everything at once, for as long as one likes: numbered alerts and hostile lines into the pipe while
// server, network, disk, pipe, process, metrics port and log fail at random. `npm run test:soak`, with
// SOAK_MINUTES (30, by half with core NATS and with JetStream) and SOAK_SEED, which is printed.

import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { readdirSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { createConnection, type Socket } from 'node:net'
import { DatabaseSync } from 'node:sqlite'
import { setTimeout as delay } from 'node:timers/promises'
import { jetstream } from '@nats-io/jetstream'
import { connect } from 'nats'
import { expect, it } from 'vitest'
import { falcoNats } from '../support/cli.ts'
import { smallDisk } from '../support/disk.ts'
import { type FailingDisk, failingDisk } from '../support/eio.ts'
import { createStream, type NatsServer, startNats } from '../support/nats.ts'
import { startProxy } from '../support/proxy.ts'
import { generator } from '../support/random.ts'
import { SCRAPED } from '../support/scrape.ts'
import { type Supervisor, supervise } from '../support/supervisor.ts'
import { type TempDir, tempDir } from '../support/temp.ts'
import { until } from '../support/wait.ts'

const SHORT = process.env.SOAK_MINUTES === undefined
const MINUTES = Number(process.env.SOAK_MINUTES ?? 0.5)
const SEED = Number(process.env.SOAK_SEED ?? (SHORT ? 20 : Math.floor(Math.random() * 2 ** 31)))
const BUNDLE = new URL('../../dist/falco-nats.js', import.meta.url).pathname
const WRITER = new URL('../support/soak-writer.ts', import.meta.url).pathname

/** Numbered alerts a second. */
const RATE = 300
/** Between two faults of one kind, and of each: at most. */
const PAUSE_MS = SHORT ? 1_000 : 10_000
const FAULT_MS = SHORT ? 3_000 : 15_000
const DISK_MIB = 12
const RSS_MAX_KIB = 192 * 1024
const SCRAPE_MAX_MS = 15_000
/** What a pipe and our buffers hold, in alerts. */
const IN_PIPE = 600
const IN_MEMORY = 6_000
/** What a busy machine has left in the pipe for a moment. */
const UNREAD = RATE / 5
/** For so long scrapes share one text. */
const SHARED_S = 1
/** What nobody can know of, in alerts: what core NATS has confirmed in the moment in which it is killed; */
const LOST_BY_SERVER = 100
/** and the one that is being written while the pipe is taken away. */
const LOST_BY_PIPE = 1

interface World {
  readonly dir: TempDir
  readonly server: NatsServer
  readonly proxy: Awaited<ReturnType<typeof startProxy>>
  readonly ours: Supervisor
  readonly disk: FailingDisk | undefined
  readonly mode: string
  /** Alerts that may be missing, and that no last line can tell of. */
  excused: number
  /** What is to be undone when a fault is over. */
  sockets: Socket[]
}

interface Fault {
  /** Two of one kind never come at once. */
  readonly kind: 'server' | 'disk' | 'process' | 'outside'
  begin(world: World): unknown
  end?(world: World): unknown
}

const FAULTS: Record<string, Fault> = {
  'server killed': {
    kind: 'server',
    async begin(world) {
      await world.server.stop('SIGKILL')
      if (world.mode === 'core') world.excused += LOST_BY_SERVER
    },
    end: ({ server }) => server.start(),
  },
  'server frozen': {
    kind: 'server',
    begin: ({ server }) => server.freeze(),
    end: ({ server }) => server.thaw(),
  },
  'connections cut': { kind: 'server', begin: ({ proxy }) => proxy.cut() },
  'cut within an alert': {
    kind: 'server',
    begin: ({ proxy }) => void proxy.cutWithin('"source":"syscall"}'),
  },
  'disk full': {
    kind: 'disk',
    begin({ dir }) {
      try {
        writeFileSync(dir.file('spool/filler'), Buffer.alloc(DISK_MIB * 1024 ** 2))
      } catch {} // as much as there was room for
    },
    end: ({ dir }) => rmSync(dir.file('spool/filler'), { force: true }),
  },
  'disk fails': {
    kind: 'disk',
    begin: ({ disk }) => disk?.fail('read', 'write', 'sync'),
    end: ({ disk }) => disk?.recover(),
  },
  'disk cannot be read': {
    kind: 'disk',
    begin: ({ disk }) => disk?.fail('read'),
    end: ({ disk }) => disk?.recover(),
  },
  'pipe removed': {
    kind: 'process',
    begin: (world) => takePipe(world, (pipe) => rmSync(pipe)),
  },
  'pipe renamed': {
    kind: 'process',
    begin: (world) => takePipe(world, (pipe) => renameSync(pipe, `${pipe}.old`)),
  },
  'we are stopped': {
    kind: 'process',
    begin: ({ ours }) => ours.end('stop', ({ child }) => child.kill('SIGTERM')),
  },
  'we are killed': {
    kind: 'process',
    async begin(world) {
      const { ours } = world
      const since = performance.now()
      const held = await ours.look(await ours.current())
      await ours.end('kill', ({ child }) => {
        child.kill('SIGKILL')
        const unseen = Math.ceil((2 * RATE * (performance.now() - since)) / 1000) + RATE * SHARED_S
        const { memory, paused } = held ?? { memory: IN_MEMORY, paused: true }
        world.excused += memory + unseen + (paused ? IN_PIPE : UNREAD)
      })
    },
  },
  'metrics flooded': {
    kind: 'outside',
    async begin(world) {
      const { address } = await (await world.ours.current()).logged('serving /metrics')
      const [host, port] = String(address).split(':') as [string, string]
      world.ours.flooded = true
      const requests = 'GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n'.repeat(10)
      world.sockets = Array.from({ length: 200 }, () => {
        const socket = createConnection(Number(port), host).pause()
        return socket.on('error', () => {}).on('connect', () => socket.write(requests))
      })
    },
    end(world) {
      for (const socket of world.sockets) socket.destroy()
      world.ours.flooded = false
    },
  },
  'log not read': {
    kind: 'outside',
    begin: async ({ ours }) => void (await ours.current()).child.stderr.pause(),
    end: async ({ ours }) => void (await ours.current()).child.stderr.resume(),
  },
}

function takePipe(world: World, take: (pipe: string) => void): Promise<void> {
  world.excused += LOST_BY_PIPE
  return world.ours.end('pipe', () => take(world.dir.file('nats')))
}

/** Until the time is over, one fault of this kind after the other. */
async function torment(world: World, kind: Fault['kind'], seed: number, until: number) {
  const random = generator(seed)
  const faults = Object.entries(FAULTS).filter(([, fault]) => fault.kind === kind)
  const times = new Map<string, number>()
  let round: typeof faults = []
  while (performance.now() < until) {
    await delay(random(PAUSE_MS))
    // All of them in turn, each round in another order.
    if (round.length === 0) round = [...faults]
    const [name, { begin, end }] = round.splice(random(round.length), 1)[0]!
    times.set(name, (times.get(name) ?? 0) + 1)
    const attempt = async (act: Fault['begin']) => {
      try {
        await act(world)
      } catch (error) {
        world.ours.troubles.push(`${name}: ${error}`)
      }
    }
    await attempt(begin)
    if (!end) continue
    await delay(random(FAULT_MS))
    await attempt(end)
  }
  return [...times]
}

/** The writer; `stop` gives how many alerts it has written, and of the hostile lines. */
function startWriter(pipe: string) {
  const child = spawn(process.execPath, [WRITER, pipe, String(SEED), String(RATE)], {
    stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
  })
  const said = once(child, 'message')
  const exited = once(child, 'exit')
  return {
    async stop(): Promise<{ written: number; attacks: number }> {
      child.kill('SIGTERM')
      const [sums] = await Promise.race([said, exited])
      if (typeof sums !== 'object') throw new Error(`the writer ended with ${sums}`)
      return sums
    },
    async [Symbol.asyncDispose]() {
      child.kill('SIGKILL')
      await exited
    },
  }
}

/** How often the stream has each numbered alert. */
async function storedNumbers(url: string): Promise<Map<number, number>> {
  await using connection = await connect({ servers: url })
  const subject = 'falco.notice.terminal_shell_in_container'
  const consumer = await jetstream(connection).consumers.get('ALERTS', { filter_subjects: subject })
  const stored = new Map<number, number>()
  if ((await consumer.info()).num_pending === 0) return stored
  for await (const message of await consumer.consume()) {
    const { n } = message.json<{ output_fields: { n?: number } }>().output_fields
    if (n !== undefined) stored.set(n, (stored.get(n) ?? 0) + 1)
    if (message.info.pending === 0) break
  }
  return stored
}

/** What is left on disk when all is over: in a spool that was moved aside, or that nobody read. */
function numbersOnDisk(directory: string): Set<number> {
  const numbers = new Set<number>()
  for (const name of readdirSync(directory).filter((name) =>
    /^spool\.db[^/]*(?<!-wal|-shm)$/.test(name),
  ))
    try {
      const database = new DatabaseSync(`${directory}/${name}`, { readOnly: true })
      for (const { lines } of database.prepare('SELECT lines FROM batches').all())
        for (const [, n] of Buffer.from(lines as Uint8Array)
          .toString()
          .matchAll(/"n":(\d+)/g))
          numbers.add(Number(n))
      database.close()
    } catch (error) {
      console.info(`soak: ${name} cannot be read: ${error}`)
    }
  return numbers
}

it.each(['core', 'jetstream'])(
  `loses nothing untold and never crashes, ${MINUTES} minutes, SOAK_SEED=${SEED}: %s`,
  async (mode) => {
    using dir = tempDir()
    using disk = smallDisk(dir.file('spool'), DISK_MIB)
    await using server = await startNats(`jetstream { store_dir: "${dir.file('jetstream')}" }`)
    await createStream(server.url)
    await using proxy = await startProxy(server.port)
    const failing = failingDisk(dir)
    const args = ['-f', dir.file('nats'), '-s', proxy.url, '--spool-dir', dir.file('spool')]
    args.push('--buffer-bytes', '512KiB', '--batch-bytes', '64KiB', '--spool-bytes', '8MiB')
    args.push('--drain-timeout', '2s', ...SCRAPED)
    if (mode === 'jetstream') args.push('--jetstream', '--stream', 'ALERTS')
    const program = [process.execPath, BUNDLE]
    const ours = supervise(() => falcoNats(args, { program, env: failing?.env ?? {} }))
    await ours.current()
    await using writer = startWriter(dir.file('nats'))
    const world: World = {
      dir,
      server,
      proxy,
      ours,
      disk: failing,
      mode,
      excused: 0,
      sockets: [],
    }
    const end = performance.now() + (MINUTES / 2) * 60_000
    const kinds = ['server', 'disk', 'process', 'outside'] as const
    const lanes = kinds.filter((kind) => kind !== 'disk' || disk)
    const faults = await Promise.all(
      lanes.map((kind, lane) => torment(world, kind, SEED + lane, end)),
    )
    // All is well again.
    const { written, attacks } = await writer.stop()
    const drained = await until(
      'all that is held is delivered',
      async () => {
        const held = await ours.look(await ours.current())
        return held && held.memory + held.disk === 0
      },
      180_000,
    ).catch(() => false)
    const last = await ours.finish()

    const stored = await storedNumbers(server.url)
    const onDisk = numbersOnDisk(dir.file('spool'))
    const missing = Array.from({ length: written }, (_, n) => n).filter(
      (n) => !stored.has(n) && !onDisk.has(n),
    )
    const sum = (name: string) =>
      ours.goodbyes.reduce((sum, line) => sum + Number(line[name] ?? 0), 0)
    const told = sum('left') + sum('unreadable')
    const { rssKiB, scrapeMs, scrapes } = ours.worst
    console.table({
      ...Object.fromEntries(faults.flat()),
      ...Object.fromEntries([...ours.ends].map(([how, times]) => [`ended, ${how}`, times])),
      'hostile lines': attacks,
      'alerts written': written,
      'alerts stored': stored.size,
      'stored more than once': [...stored.values()].filter((times) => times > 1).length,
      'alerts missing': missing.length,
      'told of as lost': told,
      'excused: killed, or without a pipe': world.excused,
      'scrapes that balance': scrapes,
      'longest scrape, ms': Math.round(scrapeMs),
      'most memory, MiB': Math.round(rssKiB / 1024),
      ...Object.fromEntries(
        ['read', 'restored', 'delivered', 'rejected', 'resent', 'spooled'].map((name) => [
          `sum of ${name}`,
          sum(name),
        ]),
      ),
    })
    expect(ours.troubles).toEqual([])
    expect(drained).toBe(true)
    expect(last).toMatchObject({ left: 0 })
    expect(missing.length).toBeLessThanOrEqual(told + world.excused)
    expect(rssKiB).toBeLessThan(RSS_MAX_KIB)
    expect(scrapeMs).toBeLessThan(SCRAPE_MAX_MS)
  },
  MINUTES * 60_000 + 600_000,
)
