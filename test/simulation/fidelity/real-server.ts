// How a nats-server is configured for scripts: each has an account, so that one server has many at the same time.

import { DENIED, MAX_PAYLOAD } from './ground.ts'
import type { Script } from './script.ts'

export const PASSWORD = 'secret'

/** Who publishes, and who may do everything. */
export const userOf = ({ seed }: Script) => `falco${seed}`
export const adminOf = ({ seed }: Script) => ({ user: `admin${seed}`, pass: PASSWORD })

export const serverConfig = (
  storeDir: string,
  scripts: readonly Script[],
  maxPayload = MAX_PAYLOAD,
): string => `
  max_payload: ${maxPayload}
  jetstream { store_dir: "${storeDir}" }
  lame_duck_duration: "30s", lame_duck_grace_period: "1ms"
  accounts { ${scripts.map(accountOf).join('\n')} }`

function accountOf(script: Script): string {
  const { seed, config } = script
  const denied = config.denies ? `, permissions: { publish: { deny: ["${DENIED}>"] } }` : ''
  const users = [
    `{ user: ${userOf(script)}, password: ${PASSWORD}${denied} }`,
    `{ user: ${adminOf(script).user}, password: ${PASSWORD} }`,
  ]
  return `S${seed}: { ${config.jetstream ? 'jetstream: enabled, ' : ''}users: [${users}] }`
}
