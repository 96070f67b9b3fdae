// A playbook's durable consumer: what it lets through, and how it is kept so.

import type { ConsumerConfig } from '@nats-io/jetstream'
import { AckPolicy, DeliverPolicy, JetStreamApiError, jetstreamManager } from '@nats-io/jetstream'
import { type NatsConnection, nanos } from 'nats'
import { areDisjoint, cover } from '../playbook/subject-patterns.ts'

export const ACK_WAIT_MS = 30_000
/** Those that wait to be tried again count too. */
const MAX_ACK_PENDING = 50_000
/** https://github.com/nats-io/nats-server/blob/main/server/errors.json */
const CONSUMER_NOT_FOUND = 10014
const FILTER_NO_SUBSET = 10093

type Filter = Pick<ConsumerConfig, 'filter_subject' | 'filter_subjects'>

/** Makes the consumer, or updates its filter. A new one begins at `since`, when the last one was known to exist. */
export async function bindConsumer(
  connection: NatsConnection,
  stream: string,
  name: string,
  subjects: readonly string[],
  since?: Date,
): Promise<void> {
  const { consumers } = await jetstreamManager(connection, { checkAPI: false })
  // From nats-server 2.10.
  const [major = 0, minor = 0] = (connection.info?.version ?? '').split('.').map(Number)
  const hasSeveral = major > 2 || (major === 2 && minor >= 10)

  async function ensure(wanted: Filter): Promise<void> {
    const info = await consumers.info(stream, name).catch((error) => {
      if (codeOf(error) !== CONSUMER_NOT_FOUND) throw error
    })
    if (!info) {
      await consumers.add(stream, { ...newConsumer(name, since), ...wanted })
      return
    }
    const filter = hasSeveral ? wanted : updatable(info.config, wanted)
    if (textOf(info.config) === textOf(filter)) return
    // The client lays this over the consumer's configuration, so a filter to remove has to be named.
    const { filter_subject, filter_subjects } = filter
    await consumers.update(stream, name, { filter_subject, filter_subjects } as Filter)
  }

  try {
    await ensure(filterOf(subjects, hasSeveral))
  } catch (error) {
    // The subject that covers several may not fit the stream's. The playbook ignores the other alerts.
    if (subjects.length === 1 || codeOf(error) !== FILTER_NO_SUBSET) throw error
    await ensure({})
  }
}

const newConsumer = (name: string, since: Date | undefined) => ({
  durable_name: name,
  ack_policy: AckPolicy.Explicit,
  ack_wait: nanos(ACK_WAIT_MS),
  // We are the ones who give up, with a reason.
  max_deliver: -1,
  max_ack_pending: MAX_ACK_PENDING,
  // What was there before the playbook is history.
  ...(since
    ? { deliver_policy: DeliverPolicy.StartTime, opt_start_time: since.toISOString() }
    : { deliver_policy: DeliverPolicy.New }),
})

/** nats-server 2.9 takes a filter literally for ever: where one gets wildcards, let all alerts through instead. */
const updatable = (was: Filter, wanted: Filter): Filter =>
  isWild(wanted.filter_subject) && !isWild(was.filter_subject) ? {} : wanted

const isWild = (subject: string | undefined) => subject !== undefined && /[*>]/.test(subject)

const textOf = ({ filter_subject, filter_subjects }: Filter) =>
  (filter_subjects ?? [filter_subject ?? '>']).toSorted().join(' ')

/** Exactly the subjects where the server can; else one that covers them. */
const filterOf = (subjects: readonly string[], hasSeveral: boolean): Filter =>
  subjects.length > 1 && hasSeveral && areDisjoint(subjects)
    ? { filter_subjects: [...subjects] }
    : { filter_subject: cover(subjects) }

const codeOf = (error: unknown) => (error instanceof JetStreamApiError ? error.code : undefined)
