// The simulated world as the ground of a script. What the server may do or not, it does not: chance is left out.

import { parseServers } from '../../../src/shared/nats/servers.ts'
import { type AlertSpec, lineOf, numberIn } from '../alerts.ts'
import { createDisk } from '../disk.ts'
import { createLives, type KnownLife, PIPE } from '../lives.ts'
import { createPipe } from '../pipe.ts'
import { createRandom, type Random } from '../random.ts'
import { createServer } from '../server/server.ts'
import { createVirtualTime, settled } from '../virtual-clock.ts'
import type { World } from '../world.ts'
import { splitFrames } from './frames.ts'
import {
  booksOf,
  DENIED,
  DUPLICATE_WINDOW_MS,
  type Ground,
  type LifeSeen,
  STREAM,
} from './ground.ts'
import { configOf, type Script } from './script.ts'

/** So long is for ever. */
const FOREVER_MS = 120_000
const NEVER = Number.POSITIVE_INFINITY
const ENDS = { delivered: 'exit 0', lost: 'exit 1', kill: 'kill' } as const
const PING = 'PING\r\n'

export function openVirtual(script: Script): Ground {
  const time = createVirtualTime()
  const violations: string[] = []
  const world: World = {
    time,
    random: (topic) => calm(createRandom(script.seed, topic)),
    trace() {},
    violated: (invariant, detail) => void violations.push(`${invariant}: ${detail}`),
  }
  const { jetstream, streamExists, maxMsgSize, denies } = script.config
  const config = configOf(script.config)
  const sent = new Map<number, number>()
  const server = createServer(world, {
    mode: jetstream ? 'jetstream' : 'core',
    servers: 1,
    maxPayload: config.maxPayload,
    denied: denies ? [DENIED] : [],
    stream: {
      ...{ exists: streamExists, name: STREAM, subjects: ['falco.>'], discardNew: true },
      ...{ duplicateWindowMs: DUPLICATE_WINDOW_MS, ...(maxMsgSize > 0 && { maxMsgSize }) },
    },
    isLine(line) {
      const number = numberIn(line)!
      sent.set(number, (sent.get(number) ?? 0) + 1)
      return true
    },
  })
  const disk = createDisk(world, { limitBytes: config.spoolBytes })
  const pipe = createPipe(world, { capacity: 65_536 })
  let life: KnownLife
  const lives = createLives(world, config, parseServers(server.addresses.join(',')), {
    environmentOf: (life) => ({
      dial: dialOf(server.dial(life)),
      makeStream: server.makeStream(life),
      openSpool: disk.openSpool(life),
      inputs: pipe.inputs(life),
    }),
    started(begun) {
      life = begun
    },
    dies() {},
    ended(ended) {
      disk.crash()
      pipe.closeAllOf(ended)
    },
  })
  const { cluster, stream, conditions, facts } = server
  const machine = cluster.machines[0]!
  /** The newest connection. */
  const connection = () => [...machine.connections].at(-1)!
  let cutBehind: { after: number; part: number } | undefined

  type Dial = ReturnType<typeof server.dial>
  /** A session that is cut behind a message: only its bytes tell where that ends. */
  const dialOf =
    (dial: Dial): Dial =>
    async (address, signal) => {
      const session = await dial(address, signal)
      const { write } = session
      return Object.assign(session, {
        write(messages: Uint8Array) {
          const cut = cutBehind
          cutBehind = undefined
          const before = cut ? connection().link.queued() : 0
          write(messages)
          if (cut) closeBehind(bytesOf(Buffer.from(messages), cut), before)
        },
      })
    }

  function closeBehind(bytes: number, before: number): void {
    const { link } = connection()
    link.hold()
    const close = () => cluster.close(connection(), false)
    if (bytes + before === 0) close()
    else server.triggers.after('bytes', bytes + before, close)
  }

  async function until(what: string, isSo: () => boolean): Promise<void> {
    const limit = time.now() + FOREVER_MS
    for (;;) {
      await settled()
      if (violations.length > 0) throw new Error(violations.join('; '))
      if (isSo()) return
      if (!time.next(limit)) throw new Error(`never: ${what}`)
    }
  }

  const seen = (known: KnownLife): LifeSeen => ({
    log: known.log,
    books: () => known.measure && booksOf(known.measure()),
    end: () => known.end && ENDS[known.end as keyof typeof ENDS],
  })

  const goDown = () => cluster.crash(machine, NEVER, false)

  return {
    until,
    pass(ms) {
      const over = time.now() + ms
      time.at(over, () => {})
      return until('time passes', () => time.now() >= over)
    },
    life: () => seen(life),
    start: lives.start,
    stop: () => lives.signal(NEVER),
    kill: lives.kill,
    write(alerts: readonly AlertSpec[]): void {
      const fifo = pipe.at(PIPE)
      if (fifo === undefined || fifo === 'file') throw new Error('there is no pipe')
      const end = fifo.open('write')
      for (const alert of alerts) {
        const line = Buffer.from(`${lineOf(alert)}\n`)
        fifo.write(pipe.expect(alert.number, line), line.length)
      }
      end.close()
    },
    taken: () => (jetstream ? facts.stored : facts.arrivals).length,
    way: {
      hold: () => connection().link.hold(),
      release: () => connection().link.release(),
      cut: () => cluster.close(connection(), false),
      cutAt(after, part) {
        cutBehind = { after, part }
      },
      acks(fate) {
        conditions.clear()
        if (fate === 'get lost') conditions.begin('acks lost', NEVER, { onceIn: 1 })
        if (fate === 'double') conditions.begin('acks double', NEVER, { onceIn: 1 })
        if (fate === 'in another order') conditions.begin('acks shuffled', NEVER, { within: 50 })
      },
      block: goDown,
      unblock: () => cluster.start(machine),
    },
    server: {
      crash: goDown,
      leave: () => cluster.leave(machine, 100, NEVER),
      start: () => cluster.start(machine),
      setMaxPayload: (bytes) => cluster.limit(bytes, NEVER, false),
    },
    stream: {
      make: (name, duplicateWindowMs = DUPLICATE_WINDOW_MS) =>
        stream.make({ name, duplicateWindowMs, maxMsgs: NEVER, maxMsgSize: maxMsgSize || NEVER }),
      remove: () => stream.remove(NEVER),
      fill: (room) => stream.change({ maxMsgs: stream.held() + room, discardNew: true }),
      purge() {
        stream.purge()
        stream.change({ maxMsgs: NEVER })
      },
    },
    async end() {
      const stored = (jetstream ? facts.stored : facts.arrivals).map(({ number }) => number!)
      return { stored, sent }
    },
  }
}

/** Where the connection ends, in bytes from the start of `messages`. */
function bytesOf(messages: Buffer, { after, part }: { after: number; part: number }): number {
  const { frames } = splitFrames(messages)
  const whole = frames.slice(0, after).reduce((sum, { bytes }) => sum + bytes.length, 0)
  const next = frames[after]?.bytes.length ?? PING.length
  return whole + Math.floor(part * next)
}

/** What happens once in a while never happens. */
const calm = (random: Random): Random => ({ ...random, onceIn: (times) => times === 1 })
