// What the steps of a script are made of, on any ground.

import type { AlertSpec } from '../alerts.ts'
import type { Books, Ground, LifeSeen } from './ground.ts'
import type { ScriptConfig } from './script.ts'

/** Their numbers are higher than this. */
const GREETINGS = 1000

export interface PlayedLife {
  readonly seen: LifeSeen
  /** How often alerts were sent again is chance. */
  retried: boolean
  booksAtKill: Books | undefined
}

export type Player = ReturnType<typeof createPlayer>

export function createPlayer(config: ScriptConfig, ground: Ground) {
  const { until, pass, way, server, stream, taken } = ground
  const lives: PlayedLife[] = []
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
    ...{ config, until, pass, way, server, stream, taken, books, window, logs, read, lives },
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
