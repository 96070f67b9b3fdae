// Plays a script on a ground, and says what came of it.

import type { Ground } from './ground.ts'
import { type LifeOutcome, outcomeOf } from './outcome.ts'
import { createPlayer } from './player.ts'
import type { Script } from './script.ts'
import { STEPS } from './steps.ts'

export interface Outcome {
  /** Numbers, in the order in which they arrived or were stored. */
  readonly stored: string
  /** Numbers of what the server read more than once, with how often; only that it did where retries are chance. */
  readonly sentAgain: string
  readonly lives: readonly LifeOutcome[]
}

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
