// Steps with faults of the connection.

import type { StepKinds } from './step.ts'

const always = () => true

export const CONNECTION_STEPS = {
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
} satisfies StepKinds
