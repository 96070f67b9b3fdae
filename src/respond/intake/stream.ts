// The stream of a playbook's alerts (or core NATS, with a weaker promise), and the state and logs kept beside it.

import { JetStreamApiError, jetstreamManager } from '@nats-io/jetstream'
import { type NatsConnection, NoRespondersError, RequestError } from 'nats'
import type { Logger } from '../../shared/log.ts'
import { createMemoryState, openKvState, type State } from '../engine/state.ts'
import type { Plan } from '../playbook/playbook.ts'
import { covers, isOwn } from '../playbook/subject-patterns.ts'
import type { Bucket } from '../steps/step.ts'
import { createFailures, keepTrying } from './retry.ts'

export type Mode =
  | { readonly kind: 'jetstream'; readonly stream: string }
  | { readonly kind: 'core'; readonly why: string }

type ModeOptions = { readonly core: boolean; readonly stream: string | undefined }

/** https://github.com/nats-io/nats-server/blob/main/server/errors.json: not enabled, here or for us */
const NOT_ENABLED = [10039, 10076]
const PAUSE_FIRST_MS = 500

/** One for each playbook; undefined at a stop. Tries until JetStream answers: an outage must not weaken the promise. */
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

const streamsOf = async (connection: NatsConnection) =>
  (await jetstreamManager(connection, { checkAPI: false })).streams

/** The stream that takes the subjects; one that takes a part of them only if no other takes another part. */
export async function streamFor(
  connection: NatsConnection,
  subjects: readonly string[],
): Promise<string | undefined> {
  const streams = await streamsOf(connection)
  let common: string[] | undefined
  for (const subject of subjects) {
    const names = new Set<string>()
    for await (const name of streams.names(subject)) if (!/^(KV|OBJ)_/.test(name)) names.add(name)
    common = common?.filter((name) => names.has(name)) ?? [...names].sort()
  }
  if (common === undefined || common.length <= 1) return common?.[0]
  const others: string[] = []
  for (const name of common) {
    const takes = (await streams.info(name)).config.subjects
    if (subjects.every((subject) => takes.some((pattern) => covers(pattern, subject)))) return name
    // One for dead letters has nothing to act upon.
    if (!takes.every(isOwn)) others.push(name)
  }
  return others.length === 1 ? others[0] : undefined
}

/** The number of copies of a stream, for what belongs to it; 1 where it is unknown. */
export async function replicasOf(connection: NatsConnection, stream: string): Promise<number> {
  try {
    return (await (await streamsOf(connection)).info(stream)).config.num_replicas
  } catch {
    return 1
  }
}

/** A dry run remembers for itself, so that it does not affect replicas that act. */
export async function openState(
  connection: NatsConnection,
  { dryRun }: Plan,
  prefix: string,
  modes: readonly Mode[],
): Promise<State> {
  const mode = modes.find(({ kind }) => kind === 'jetstream')
  if (dryRun || mode?.kind !== 'jetstream') return createMemoryState()
  return openKvState(connection, `${prefix}-respond`, await replicasOf(connection, mode.stream))
}

/** Makes the object store if it is not there. */
export async function openBucket(connection: NatsConnection, name: string): Promise<Bucket> {
  const { Objm } = await import('@nats-io/obj')
  const store = await new Objm(connection).create(name)
  return {
    async put(name, bytes) {
      await store.putBlob({ name }, bytes)
    },
  }
}
