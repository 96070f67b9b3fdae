// Steps with faults of the server itself, which other scripts must not feel.

import { MAX_PAYLOAD } from './ground.ts'
import type { ScriptConfig } from './script.ts'
import type { StepKinds } from './step.ts'

/** Every plain alert is smaller, with headers and id. */
const SMALLER = 700

const ownServer = (config: ScriptConfig) => config.ownServer

export const SERVER_STEPS = {
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
} satisfies StepKinds
