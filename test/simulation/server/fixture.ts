// A world with a server and no more, for tests of the server alone.

import type { Session } from '../../../src/forward/delivery/session.ts'
import { parseServers } from '../../../src/shared/nats/servers.ts'
import { type AlertSpec, lineOf } from '../alerts.ts'
import { createRandom } from '../random.ts'
import { createVirtualTime, settled } from '../virtual-clock.ts'
import type { Life, World } from '../world.ts'
import { createServer, type ServerOptions } from './server.ts'

export const OPTIONS: ServerOptions = {
  mode: 'core',
  servers: 1,
  maxPayload: 4096,
  denied: [],
  stream: {
    exists: true,
    name: 'FALCO',
    subjects: ['falco.>'],
    discardNew: true,
    duplicateWindowMs: 120_000,
  },
}

export const JETSTREAM: ServerOptions = { ...OPTIONS, mode: 'jetstream' }

export const alertLine = (number: number, more: Partial<AlertSpec> = {}) =>
  lineOf({ number, at: 0, severity: 4, rule: 1, length: 200, ...more })

export function setUp(options: ServerOptions = OPTIONS, seed = 1) {
  const time = createVirtualTime()
  const violations: string[] = []
  const world: World = {
    time,
    random: (topic) => createRandom(seed, topic),
    trace() {},
    violated: (invariant, detail) => violations.push(`${invariant}: ${detail}`),
  }
  const server = createServer(world, options)
  let lives = 0

  function startLife() {
    let alive = true
    let stepsLeft = Number.POSITIVE_INFINITY
    const isAlive = () => alive
    const life: Life = {
      number: ++lives,
      isAlive,
      clock: time.clockFor(isAlive),
      step() {
        if (--stepsLeft <= 0) alive = false
      },
    }
    return {
      ...life,
      kill() {
        alive = false
      },
      /** It dies at the step after so many. */
      killAfter(steps: number) {
        stepsLeft = steps
      },
    }
  }

  /** Lets virtual time pass. */
  async function pass(ms: number): Promise<void> {
    const until = time.now() + ms
    time.at(until, () => {})
    await settled()
    while (time.next(until)) await settled()
  }

  const servers = parseServers(server.addresses.join(','))

  /** Waits until one is open. */
  async function open(life: Life = startLife(), at = 0): Promise<Session> {
    const never = new AbortController().signal
    let opened: Session | undefined
    void server
      .dial(life)(servers[at]!, never)
      .then((session) => {
        opened = session
      })
    while (!opened) await pass(100)
    return opened
  }

  return { world, server, facts: server.facts, violations, startLife, pass, open, servers }
}

/** What a batch of core NATS has. */
export const messageOf = (line: string, subject = 'falco.warning.rule_1') =>
  Buffer.from(`PUB ${subject} ${line.length}\r\n${line}\r\n`)

/** What the publish window of JetStream writes. */
export function publicationOf(
  line: string,
  reply: string,
  { id = line.slice(20, 60), expected = '' } = {},
) {
  const expects = expected === '' ? '' : `Nats-Expected-Stream: ${expected}\r\n`
  const headers = `NATS/1.0\r\nNats-Msg-Id: ${id}\r\n${expects}\r\n`
  const size = headers.length + line.length
  return Buffer.from(
    `HPUB falco.warning.rule_1 ${reply} ${headers.length} ${size}\r\n${headers}${line}\r\n`,
  )
}
