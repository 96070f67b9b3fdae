// Plays a script on a ground, and says what came of it.

import type { AlertSpec } from '../alerts.ts'
import type { LogLine } from '../life-log.ts'
import type { Books, Ground, LifeSeen } from './ground.ts'
import type { Script, ScriptConfig } from './script.ts'
import { STEPS } from './steps.ts'

export interface Outcome {
  /** Numbers, in the order in which they arrived or were stored. */
  readonly stored: string
  /** Numbers of what the server read more than once, with how often; only that it did where retries are chance. */
  readonly sentAgain: string
  readonly lives: readonly LifeOutcome[]
}

interface LifeOutcome {
  readonly end: string | undefined
  /** The sums of its last line, or the books when it was killed. */
  readonly sums: Readonly<Record<string, unknown>>
  readonly said: readonly string[]
}

/** Their numbers are higher than this. */
const GREETINGS = 1000

export type Player = ReturnType<typeof createPlayer>

export async function play(script: Script, ground: Ground): Promise<Outcome> {
  const player = createPlayer(script.config, ground)
  await player.start()
  for (const step of script.steps)
    try {
      if (STEPS[step.kind].retries) player.retries()
      await STEPS[step.kind].play(player, step)
    } catch (error) {
      const log = ground.life().log.map(({ message }) => message)
      throw new Error(
        `seed ${script.seed}, in ${JSON.stringify(step)}: ${error}\n${log.join('\n')}`,
      )
    }
  await player.stop()
  const { stored, sent } = await ground.end()
  const again = [...sent].filter(([, times]) => times > 1).sort(([a], [b]) => a - b)
  const isChance = player.lives.some(({ retried }) => retried)
  return {
    stored: stored.join(' '),
    sentAgain: again.map(([n, times]) => (isChance ? `${n}` : `${n}: ${times}`)).join(', '),
    lives: player.lives.map(outcomeOf),
  }
}

function createPlayer(config: ScriptConfig, ground: Ground) {
  const { until, way, server, stream, taken } = ground
  const lives: { seen: LifeSeen; retried: boolean; booksAtKill: Books | undefined }[] = []
  /** Into the pipe, during this life. */
  let written = 0
  let greetings = GREETINGS

  const books = (): Books => ground.life().books()!
  const count = (text: RegExp) =>
    ground.life().log.filter(({ message }) => text.test(message)).length
  /** How many of so many alerts are on their way at once. */
  const window = (alerts: number) =>
    config.jetstream ? Math.min(alerts, config.maxInFlight) : alerts

  async function logs(text: RegExp, act: () => unknown): Promise<void> {
    const before = count(text)
    await act()
    await until(`it logs ${text}`, () => count(text) > before)
  }

  const read = () => until('all is read', () => books().read === written)
  const player = {
    ...{ config, until, way, server, stream, taken, books, window, logs, read, lives },
    write(alerts: readonly AlertSpec[]): void {
      written += alerts.length
      ground.write(alerts)
    },
    /** Nothing is held. */
    async settled(): Promise<void> {
      await read()
      await until('all is settled', () => books().held === 0 && books().spooled === 0)
    },
    /** All waits, on the disk where there is one. */
    async waits(): Promise<void> {
      await read()
      if (config.spool) await until('all is on the disk', () => books().spooled === books().held)
    },
    /** The server has what it can have, and nobody else knows. */
    async writeUnanswered(alerts: readonly AlertSpec[]): Promise<void> {
      const expected = taken() + window(alerts.length)
      way.hold()
      player.write(alerts)
      await until('they are taken', () => taken() === expected)
      await read()
    },
    /** … and then all is settled. */
    async reconnects(act: () => unknown): Promise<void> {
      await logs(/^connected/, act)
      await player.isReady()
    },
    isCutOff: (act: () => unknown) => logs(/^cannot connect/, act),
    async start(): Promise<void> {
      written = 0
      ground.start()
      lives.push({ seen: ground.life(), retried: false, booksAtKill: undefined })
      await until('it reads', () => ground.life().books() !== undefined)
      await until('it is connected', () => count(/^connected/) > 0)
      await player.isReady()
    },
    /** A connection is: all that waited is settled, and it is known that the stream is there. */
    isReady: () => (config.createStream ? player.greet() : player.settled()),
    /** One alert that is delivered: then it is known that the stream is there, and not empty. */
    async greet(): Promise<void> {
      player.write([{ number: ++greetings, at: 0, severity: 0, rule: 1, length: 150 }])
      await player.settled()
    },
    async stop(): Promise<void> {
      ground.stop()
      await until('it has ended', () => ground.life().end() !== undefined)
    },
    async kill(): Promise<void> {
      lives.at(-1)!.booksAtKill = books()
      ground.kill()
      await until('it is dead', () => ground.life().end() !== undefined)
    },
    retries(): void {
      lives.at(-1)!.retried = true
    },
  }
  return player
}

/** What differs from run to run, in the log and its last line. */
const UNSTABLE = ['server', 'version', 'tls', 'batches', 'input', 'suppressed']

function outcomeOf({ seen, retried, booksAtKill }: Player['lives'][number]): LifeOutcome {
  const last = seen.log.at(-1)
  const sums = { ...(booksAtKill ?? last?.fields) } as Record<string, unknown>
  for (const name of UNSTABLE) delete sums[name]
  // Retries come after pauses that are drawn.
  if (retried && typeof sums.resent === 'number') sums.resent = sums.resent > 0
  const log = booksAtKill ? seen.log : [...seen.log.slice(0, -1), { ...last!, fields: {} }]
  const rejects = new Set<unknown>()
  const said = log.filter(({ message, fields }) => {
    // The same reason is logged once in 10 s, by the clock.
    if (!message.startsWith('lost an alert')) return true
    const isNew = !rejects.has(fields.reason)
    rejects.add(fields.reason)
    return isNew
  })
  return { end: seen.end(), sums, said: said.map(shown) }
}

function shown({ level, message, fields }: LogLine): string {
  const stable = Object.entries(fields).filter(([name]) => !UNSTABLE.includes(name))
  const values = stable.map(([name, value]) => `${name}=${stableOf(value)}`)
  return [level, message, ...values].join(' ')
}

/** Who hears of the end of a connection first, and whether the server's last words come through, is chance. */
const LOST =
  /Maximum Payload Violation|the server closed the connection|closed connection|ECONNRESET|EPIPE|CONNECTION_CLOSED|socket hang up/
const REFUSED = /refused/i

function stableOf(value: unknown): string {
  const text = typeof value === 'string' ? value : JSON.stringify(value)
  return LOST.test(text) ? '(lost)' : REFUSED.test(text) ? '(refused)' : text
}
