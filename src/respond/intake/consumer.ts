// A playbook's durable consumer: which stream it is on, what it lets through, and how it is kept so.

import {
  AckPolicy,
  type ConsumerConfig,
  DeliverPolicy,
  JetStreamApiError,
  type JetStreamManager,
  jetstreamManager,
} from '@nats-io/jetstream'
import { type NatsConnection, nanos } from 'nats'
import { areDisjoint, cover, covers, isOwn } from '../playbook/subject-patterns.ts'

export const ACK_WAIT_MS = 30_000
/** Those that wait to be tried again count too. */
const MAX_ACK_PENDING = 50_000
/** https://github.com/nats-io/nats-server/blob/main/server/errors.json */
const CONSUMER_NOT_FOUND = 10014
const FILTER_NO_SUBSET = 10093

type Filter = Pick<ConsumerConfig, 'filter_subject' | 'filter_subjects'>

/**
 * The stream that takes the subjects, undefined where there is none. One that takes a part of them is
 * good enough only if no other takes another part: what is in that would be missed without a word.
 */
export async function streamFor(
  connection: NatsConnection,
  subjects: readonly string[],
): Promise<string | undefined> {
  const { streams } = await jetstreamManager(connection, { checkAPI: false })
  let common: string[] | undefined
  for (const subject of subjects) {
    const names: string[] = []
    for await (const name of streams.names(subject)) if (!/^(KV|OBJ)_/.test(name)) names.push(name)
    common = common?.filter((name) => names.includes(name)) ?? names
  }
  const found = common?.sort() ?? []
  if (found.length <= 1) return found[0]
  const takers: { readonly name: string; readonly takes: readonly string[] }[] = []
  for (const name of found) takers.push({ name, takes: (await streams.info(name)).config.subjects })
  const isCovered = (takes: readonly string[]) => (subject: string) =>
    takes.some((pattern) => covers(pattern, subject))
  const whole = takers.find(({ takes }) => subjects.every(isCovered(takes)))
  if (whole) return whole.name
  // One for dead letters has nothing to act upon.
  const others = takers.filter(({ takes }) => !takes.every(isOwn))
  return others.length === 1 ? others[0]!.name : undefined
}

/**
 * Makes the consumer, or has it let through what the playbook wants now. `since`: when it was last known
 * to be there, so that what has come since it was deleted is not missed.
 */
export async function bindConsumer(
  connection: NatsConnection,
  stream: string,
  name: string,
  subjects: readonly string[],
  since?: Date,
): Promise<void> {
  const manager = await jetstreamManager(connection, { checkAPI: false })
  const several = hasFilterSubjects(connection)
  const filter = filterOf(subjects, several)
  try {
    await ensureConsumer(manager, stream, name, filter, several, since)
  } catch (error) {
    // What covers several may be more than the stream has. What comes in vain is acknowledged.
    if (subjects.length === 1 || codeOf(error) !== FILTER_NO_SUBSET) throw error
    await ensureConsumer(manager, stream, name, {}, several, since)
  }
}

async function ensureConsumer(
  { consumers }: JetStreamManager,
  stream: string,
  name: string,
  filter: Filter,
  several: boolean,
  since: Date | undefined,
): Promise<void> {
  let config: ConsumerConfig
  try {
    config = (await consumers.info(stream, name)).config
  } catch (error) {
    if (codeOf(error) !== CONSUMER_NOT_FOUND) throw error
    await consumers.add(stream, {
      durable_name: name,
      ack_policy: AckPolicy.Explicit,
      ack_wait: nanos(ACK_WAIT_MS),
      // Who gives up is us, with a reason.
      max_deliver: -1,
      max_ack_pending: MAX_ACK_PENDING,
      // What was there before the playbook is history.
      ...(since
        ? { deliver_policy: DeliverPolicy.StartTime, opt_start_time: since.toISOString() }
        : { deliver_policy: DeliverPolicy.New }),
      ...filter,
    })
    return
  }
  const { filter_subject, filter_subjects } = several ? filter : updatable(config, filter)
  if (textOf(config) === textOf({ filter_subject, filter_subjects } as Filter)) return
  // The client lays this over what the consumer has, so what is not wanted has to be named.
  const change = { filter_subject, filter_subjects } as Filter
  await consumers.update(stream, name, change)
}

/**
 * nats-server 2.9 goes on to take a consumer's filter literally when it becomes one with wildcards:
 * rather let everything through, and acknowledge what is not meant.
 */
const updatable = (was: Filter, wanted: Filter): Filter =>
  isWild(wanted.filter_subject) && !isWild(was.filter_subject) ? {} : wanted

const isWild = (subject: string | undefined) => subject !== undefined && /[*>]/.test(subject)

const textOf = ({ filter_subject, filter_subjects }: Filter) =>
  (filter_subjects ?? [filter_subject ?? '>']).toSorted().join(' ')

/** Exactly the subjects where the server can; else one that covers them. */
function filterOf(subjects: readonly string[], several: boolean): Filter {
  if (subjects.length > 1 && several && areDisjoint(subjects))
    return { filter_subjects: [...subjects] }
  return { filter_subject: cover(subjects) }
}

/** From nats-server 2.10. */
function hasFilterSubjects({ info }: NatsConnection): boolean {
  const [major, minor] = (info?.version ?? '0.0').split('.').map(Number)
  return major! > 2 || (major === 2 && minor! >= 10)
}

const codeOf = (error: unknown) => (error instanceof JetStreamApiError ? error.code : undefined)
