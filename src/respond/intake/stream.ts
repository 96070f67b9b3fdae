// Which stream takes a playbook's subjects.

import { jetstreamManager } from '@nats-io/jetstream'
import type { NatsConnection } from 'nats'
import { covers, isOwn } from '../playbook/subject-patterns.ts'

/**
 * The stream that takes the subjects, undefined where there is none. One that takes a part of them is
 * good enough only if no other takes another part: alerts in that one would be missed silently.
 */
export async function streamFor(
  connection: NatsConnection,
  subjects: readonly string[],
): Promise<string | undefined> {
  const { streams } = await jetstreamManager(connection, { checkAPI: false })
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

/** As many copies as the stream has, for what belongs to it. */
export async function replicasOf(connection: NatsConnection, stream: string): Promise<number> {
  try {
    const { streams } = await jetstreamManager(connection, { checkAPI: false })
    return (await streams.info(stream)).config.num_replicas
  } catch {
    return 1
  }
}
