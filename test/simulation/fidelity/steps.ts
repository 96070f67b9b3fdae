// What a script consists of: one row for each kind of step, with whom it fits and how it is played.

import { MAX_PAYLOAD, OTHER_STREAM, STREAM } from './ground.ts'
import type { Player } from './play.ts'
import type { ScriptConfig, Step } from './script.ts'

interface Row {
  readonly fits: (config: ScriptConfig) => boolean
  /** How often it is drawn. */
  readonly weight: number
  /** It may have alerts that are refused or filtered. */
  readonly mixed?: true
  /** How often an alert is sent again is chance: it depends on when the server is asked once more. */
  readonly retries?: true
  readonly play: (player: Player, step: Step) => Promise<void>
}

export type StepName = keyof typeof ROWS

/** Every plain alert is smaller, with headers and id. */
const SMALLER = 700

const always = () => true
const jetstream = (config: ScriptConfig) => config.jetstream
const spool = (config: ScriptConfig) => config.spool
const ownServer = (config: ScriptConfig) => config.ownServer

const ROWS = {
  write: {
    fits: always,
    weight: 6,
    mixed: true,
    async play(player, { alerts }) {
      player.write(alerts)
      await player.settled()
    },
  },
  /** The connection ends before, in the middle of or behind what is written. */
  cut: {
    fits: always,
    weight: 4,
    async play(player, { alerts, parts: [after = 0, part = 0] }) {
      const messages = player.window(alerts.length)
      await player.reconnects(() => {
        player.way.cutAt(Math.floor(after * (messages + 1)), part < 0.2 ? 0 : part)
        player.write(alerts)
      })
    },
  },
  /** … when all is processed, and nothing of that is known. */
  unanswered: {
    fits: always,
    weight: 3,
    async play(player, { alerts }) {
      await player.writeUnanswered(alerts)
      await player.reconnects(player.way.cut)
    },
  },
  /** … with two batches in flight, and perhaps one more behind them. */
  severalUnanswered: {
    fits: always,
    weight: 2,
    async play(player, { alerts, parts: [first = 0, second = 0] }) {
      const one = Math.ceil(first * alerts.length)
      const two = one + Math.ceil(second * (alerts.length - one))
      const before = player.taken()
      player.way.hold()
      for (const [from, to] of [
        [0, one],
        [one, two],
      ] as const) {
        if (from === to) continue
        player.write(alerts.slice(from, to))
        await player.until('they are in flight', () => player.books().inFlight === to)
      }
      await player.until('they are taken', () => player.taken() === before + player.window(two))
      player.write(alerts.slice(two))
      await player.read()
      await player.reconnects(player.way.cut)
    },
  },
  /** Answers come late: with a spool, when all is on the disk. */
  late: {
    fits: always,
    weight: 2,
    async play(player, { alerts }) {
      await player.writeUnanswered(alerts)
      await player.waits()
      player.way.release()
      await player.settled()
    },
  },
  /** No server can be reached. */
  away: {
    fits: always,
    weight: 3,
    mixed: true,
    async play(player, { alerts }) {
      await player.isCutOff(player.way.block)
      player.write(alerts)
      await player.waits()
      await player.reconnects(player.way.unblock)
    },
  },
  stop: {
    fits: always,
    weight: 2,
    async play(player, { alerts }) {
      player.write(alerts)
      await player.stop()
      await player.start()
    },
  },
  stopWhileAway: {
    fits: always,
    weight: 2,
    async play(player, { alerts }) {
      await player.isCutOff(player.way.block)
      player.write(alerts)
      await player.read()
      await player.stop()
      player.way.unblock()
      await player.start()
    },
  },
  stopUnanswered: {
    fits: always,
    weight: 2,
    async play(player, { alerts }) {
      await player.writeUnanswered(alerts)
      await player.stop()
      await player.start()
    },
  },
  killWhileAway: {
    fits: spool,
    weight: 2,
    async play(player, { alerts }) {
      await player.isCutOff(player.way.block)
      player.write(alerts)
      await player.waits()
      await player.kill()
      player.way.unblock()
      await player.start()
    },
  },
  killUnanswered: {
    fits: spool,
    weight: 2,
    async play(player, { alerts }) {
      await player.writeUnanswered(alerts)
      await player.waits()
      await player.kill()
      await player.start()
    },
  },
  acksDouble: {
    fits: jetstream,
    weight: 2,
    mixed: true,
    async play(player, { alerts }) {
      player.way.acks('double')
      player.write(alerts)
      await player.settled()
      player.way.acks('arrive')
    },
  },
  acksInAnotherOrder: {
    fits: jetstream,
    weight: 2,
    mixed: true,
    async play(player, { alerts }) {
      player.way.acks('in another order')
      player.write(alerts)
      await player.settled()
      player.way.acks('arrive')
    },
  },
  acksLost: {
    fits: jetstream,
    weight: 1,
    retries: true,
    async play(player, { alerts }) {
      player.way.acks('get lost')
      // Which alert the log names is chance.
      const alike = alerts.map((alert) => ({ ...alert, severity: 0, rule: 1 }))
      await player.logs(/JetStream does not answer/, () => player.write(alike))
      player.way.acks('arrive')
      await player.settled()
    },
  },
  streamGone: {
    fits: jetstream,
    weight: 2,
    retries: true,
    async play(player, { alerts }) {
      const { createStream } = player.config
      await player.stream.remove()
      const isMade = createStream ? /^made the stream/ : /no stream takes/
      await player.logs(isMade, () => player.write(alerts))
      if (!createStream) await player.stream.make(STREAM)
      await player.settled()
    },
  },
  streamFull: {
    fits: jetstream,
    weight: 2,
    retries: true,
    async play(player, { alerts: all, parts: [room = 0] }) {
      await player.greet()
      // More would take the slots of those that are stored, before or after the purge.
      const alerts = all.slice(0, player.window(all.length))
      await player.stream.fill(Math.floor(room * alerts.length))
      await player.logs(/is full/, () => player.write(alerts))
      await player.stream.purge()
      await player.settled()
    },
  },
  /** What was stored and not acknowledged is gone when it is sent again. */
  purgedUnanswered: {
    fits: jetstream,
    weight: 2,
    async play(player, { alerts }) {
      await player.writeUnanswered(alerts)
      await player.stream.purge()
      await player.reconnects(player.way.cut)
    },
  },
  removedUnanswered: {
    fits: jetstream,
    weight: 1,
    async play(player, { alerts }) {
      await player.writeUnanswered(alerts)
      await player.stream.remove()
      await player.stream.make(STREAM)
      await player.reconnects(player.way.cut)
    },
  },
  /** Another stream takes the subjects. */
  wrongStream: {
    fits: (config) => config.expectStream && !config.createStream,
    weight: 2,
    retries: true,
    async play(player, { alerts }) {
      await player.stream.remove()
      await player.stream.make(OTHER_STREAM)
      await player.logs(/--stream allows only/, () => player.write(alerts))
      await player.stream.remove()
      await player.stream.make(STREAM)
      await player.settled()
    },
  },
  /** The server dies with what it has processed, and knows what is in its files. */
  crash: {
    fits: ownServer,
    weight: 4,
    async play(player, { alerts, parts: [part = 0] }) {
      const first = alerts.slice(0, Math.round(part * alerts.length))
      await player.writeUnanswered(first)
      await player.isCutOff(player.server.crash)
      player.write(alerts.slice(first.length))
      await player.waits()
      await player.reconnects(player.server.start)
    },
  },
  lameDuck: {
    fits: ownServer,
    weight: 2,
    async play(player, { alerts }) {
      await player.isCutOff(player.server.leave)
      player.write(alerts)
      await player.waits()
      await player.reconnects(player.server.start)
    },
  },
  /** max_payload gets smaller under a connected client: the first alert that is too large ends the connection. */
  smallerMaxPayload: {
    fits: ownServer,
    weight: 4,
    async play(player, { alerts, parts: [part = 0] }) {
      const large = Math.floor(part * alerts.length)
      await player.server.setMaxPayload(SMALLER)
      await player.reconnects(() =>
        player.write(
          alerts.map((alert, index) =>
            index === large ? { ...alert, length: SMALLER + 20 } : alert,
          ),
        ),
      )
      await player.server.setMaxPayload(MAX_PAYLOAD)
      // The client learns of it by its next connection.
      await player.reconnects(player.way.cut)
    },
  },
} satisfies Record<string, Row>

export const STEPS: Readonly<Record<StepName, Row>> = ROWS
