// How a playbook gets its alerts: from a JetStream stream, or from core NATS with a weaker promise.

import { setTimeout as delay } from 'node:timers/promises'
import { JetStreamApiError, jetstreamManager } from '@nats-io/jetstream'
import { type NatsConnection, NoRespondersError, RequestError } from 'nats'
import { backoff } from '../../shared/backoff.ts'
import { messageOf } from '../../shared/errors.ts'
import type { Logger } from '../../shared/log.ts'
import type { Playbook } from '../playbook/playbook.ts'
import { streamFor } from './consumer.ts'

export type Mode =
  | { readonly kind: 'jetstream'; readonly stream: string }
  | { readonly kind: 'core'; readonly why: string }

export interface ModeOptions {
  readonly core: boolean
  readonly stream: string | undefined
}

/** https://github.com/nats-io/nats-server/blob/main/server/errors.json: not enabled, here or for us */
const NOT_ENABLED = [10039, 10076]
const RETRY_FIRST_MS = 500

/** Asks until there is an answer: that JetStream is away for a moment must not weaken the promise. */
export async function modeOf(
  connection: NatsConnection,
  playbook: Playbook,
  options: ModeOptions,
  log: Logger,
  stop: AbortSignal,
): Promise<Mode | undefined> {
  if (options.core) return { kind: 'core', why: '--core was given' }
  if (options.stream !== undefined) return { kind: 'jetstream', stream: options.stream }
  let said: string | undefined
  for (let attempt = 1; !stop.aborted; attempt++)
    try {
      const stream = await streamFor(connection, playbook.on)
      if (stream !== undefined) return { kind: 'jetstream', stream }
      const on = playbook.on.join(', ')
      const make = `nats stream add FALCO --subjects 'falco.>' --defaults`
      return {
        kind: 'core',
        why: `no stream takes all of ${on}: make one (${make}) and restart, or name it with --stream`,
      }
    } catch (error) {
      if (isNotEnabled(error))
        return { kind: 'core', why: 'this NATS account has no JetStream: have it enabled' }
      const reason = messageOf(error)
      if (reason !== said)
        log.warn({ playbook: playbook.name, reason }, 'cannot ask JetStream, will keep trying')
      said = reason
      const pause = backoff(attempt, RETRY_FIRST_MS)
      await delay(pause, undefined, { signal: stop }).catch(() => {})
    }
  return undefined
}

function isNotEnabled(error: unknown): boolean {
  if (error instanceof JetStreamApiError) return NOT_ENABLED.includes(error.code)
  if (error instanceof NoRespondersError) return true
  if (error instanceof RequestError && error.isNoResponders()) return true
  return error instanceof Error && error.name === 'JetStreamNotEnabled'
}

/** As many copies as the stream has, for what belongs to it. */
export async function replicasOf(connection: NatsConnection, stream: string): Promise<number> {
  try {
    const { streams } = await jetstreamManager(connection, { checkAPI: false })
    return (await streams.info(stream)).config.num_replicas
  } catch {
    return 1
  }
}
