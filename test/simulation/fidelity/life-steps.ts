// Steps that stop or kill falco-nats, and start it again.

import type { ScriptConfig } from './script.ts'
import type { StepKinds } from './step.ts'

const always = () => true
const spool = (config: ScriptConfig) => config.spool

export const LIFE_STEPS = {
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
      await player.way.unblock()
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
      await player.way.unblock()
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
} satisfies StepKinds
