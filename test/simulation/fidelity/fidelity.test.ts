import { expect, it } from 'vitest'
import { startNats } from '../../support/nats.ts'
import { tempDir } from '../../support/temp.ts'
import { createHosts } from './hosts.ts'
import { type Outcome, play } from './play.ts'
import { openReal } from './real.ts'
import { serverConfig } from './real-server.ts'
import { type Script, scriptOf } from './script.ts'
import { openVirtual } from './virtual.ts'

const SEEDS = Number(process.env.FIDELITY_SEEDS ?? 200)
/** Another nats-server than that of the PATH. */
const PROGRAM = process.env.FIDELITY_SERVER ?? 'nats-server'
/** Scripts at the same time: they wait most of it. */
const AT_ONCE = 16

const nameOf = ({ seed, steps }: Script) => [seed, ...steps.map(({ kind }) => kind)].join(' ')

it(`has the same outcome in the model as with a real server, for ${SEEDS} scripts of faults`, async () => {
  const scripts = Array.from({ length: SEEDS }, (_, index) => scriptOf(index + 1))
  using dir = tempDir()
  await using shared = await startNats(serverConfig(dir.path, scripts), { program: PROGRAM })
  await using hosts = createHosts()
  const model: Record<string, Outcome> = {}
  const real: Record<string, Outcome> = {}
  const left = scripts.values()

  async function playSome(): Promise<void> {
    for (const script of left) {
      model[nameOf(script)] = await play(script, openVirtual(script))
      await using ground = await openReal(script, { hosts, shared, program: PROGRAM })
      real[nameOf(script)] = await play(script, ground)
    }
  }

  await Promise.all(Array.from({ length: AT_ONCE }, playSome))
  expect(real).toEqual(model)
})
