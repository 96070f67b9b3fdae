// Steps with JetStream: what becomes of acknowledgements, and of the stream.

import { OTHER_STREAM, STREAM } from './ground.ts'
import type { ScriptConfig } from './script.ts'
import type { StepKinds } from './step.ts'

const SHORT_WINDOW_MS = 200

const jetstream = (config: ScriptConfig) => config.jetstream

export const JETSTREAM_STEPS = {
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
  /** The stream has forgotten what it stored when that is sent again. */
  forgottenUnanswered: {
    fits: jetstream,
    weight: 1,
    async play(player, { alerts }) {
      await player.stream.remove()
      // In one whose window gets shorter, nats-server 2.14 may know ids for longer.
      await player.stream.make(STREAM, SHORT_WINDOW_MS)
      await player.writeUnanswered(alerts)
      await player.pass(10 * SHORT_WINDOW_MS)
      await player.reconnects(player.way.cut)
      await player.stream.remove()
      await player.stream.make(STREAM)
    },
  },
  /** falco-nats cannot make the stream, and another takes the alerts. */
  streamOverlaps: {
    fits: ({ createStream, expectStream }) => createStream && !expectStream,
    weight: 2,
    async play(player, { alerts }) {
      await player.stream.remove()
      await player.stream.make(OTHER_STREAM)
      await player.logs(/^cannot make the stream/, player.way.cut)
      player.write(alerts)
      await player.settled()
      await player.stream.remove()
      await player.stream.make(STREAM)
      // It finds the stream, and would say the same reason again.
      await player.reconnects(player.way.cut)
    },
  },
} satisfies StepKinds
