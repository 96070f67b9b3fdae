// How playbooks get their alerts: from a JetStream stream, or from core NATS with a weaker promise.

import { JetStreamApiError } from '@nats-io/jetstream'
import { type NatsConnection, NoRespondersError, RequestError } from 'nats'
import type { Logger } from '../../shared/log.ts'
import type { Plan } from '../playbook/playbook.ts'
import { createFailures, keepTrying } from './retry.ts'
import { streamFor } from './stream.ts'

export type Mode =
  | { readonly kind: 'jetstream'; readonly stream: string }
  | { readonly kind: 'core'; readonly why: string }

export interface ModeOptions {
  readonly core: boolean
  readonly stream: string | undefined
}

/** https://github.com/nats-io/nats-server/blob/main/server/errors.json: not enabled, here or for us */
const NOT_ENABLED = [10039, 10076]
const PAUSE_FIRST_MS = 500

/**
 * One for each playbook; undefined when stopped before. Asks until there is an answer: that JetStream
 * is away for a moment must not weaken the promise.
 */
export async function chooseModes(
  connection: NatsConnection,
  { playbooks }: Plan,
  options: ModeOptions,
  log: Logger,
  stop: AbortSignal,
): Promise<readonly Mode[] | undefined> {
  const modes: Mode[] = []
  for (const { name: playbook, on } of playbooks) {
    const failures = createFailures(log, 'cannot ask JetStream, will keep trying', { playbook })
    const ask = () => modeOf(connection, on, options)
    const mode = await keepTrying(ask, failures, PAUSE_FIRST_MS, stop)
    if (mode === undefined) return undefined
    modes.push(mode)
    if (mode.kind === 'core')
      log.warn(
        { playbook, why: mode.why },
        'core NATS: what comes while no replica runs, and what waits when one ends, is lost',
      )
  }
  return modes
}

async function modeOf(
  connection: NatsConnection,
  on: readonly string[],
  { core, stream: given }: ModeOptions,
): Promise<Mode> {
  if (core) return { kind: 'core', why: '--core was given' }
  if (given !== undefined) return { kind: 'jetstream', stream: given }
  try {
    const stream = await streamFor(connection, on)
    if (stream !== undefined) return { kind: 'jetstream', stream }
  } catch (error) {
    if (!isNotEnabled(error)) throw error
    return { kind: 'core', why: 'this NATS account has no JetStream: have it enabled' }
  }
  const make = `nats stream add FALCO --subjects 'falco.>' --defaults`
  const why = `no stream takes all of ${on.join(', ')}: make one (${make}) and restart, or name it with --stream`
  return { kind: 'core', why }
}

const isNotEnabled = (error: unknown): boolean =>
  (error instanceof JetStreamApiError && NOT_ENABLED.includes(error.code)) ||
  error instanceof NoRespondersError ||
  (error instanceof RequestError && error.isNoResponders()) ||
  (error instanceof Error && error.name === 'JetStreamNotEnabled')
