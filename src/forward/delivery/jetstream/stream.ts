// The stream for the alerts: finds it, and makes it.

import { JetStreamApiCodes, JetStreamApiError, jetstreamManager } from '@nats-io/jetstream'
import type { NatsConnection } from 'nats'
import { messageOf } from '../../../shared/errors.ts'
import type { Logger } from '../../../shared/log.ts'
import type { Session } from '../session.ts'
import { STORAGE_ADVICE, troubleOf } from './acks.ts'
import type { StreamSettings } from './stream-settings.ts'

/** https://github.com/nats-io/nats-server/blob/main/server/errors.json */
const NAME_IN_USE = 10058

const streamsOf = async (connection: NatsConnection) =>
  (await jetstreamManager(connection, { checkAPI: false })).streams

export type MakeStream = (session: Session, settings: StreamSettings) => Promise<boolean>

/** Makes the stream by `make`, which is `makeIfMissing` with a connection. Never rejects; logs a reason once. */
export function createStreamMaker(make: MakeStream, settings: StreamSettings, log: Logger) {
  const { name: stream, subject } = settings
  let lastReason: string | undefined
  return async (session: Session): Promise<void> => {
    try {
      const isMade = await make(session, settings)
      if (isMade) log.info({ stream, subject }, 'made the stream')
      lastReason = undefined
    } catch (error) {
      const reason = messageOf(error)
      if (session.isClosed() || reason === lastReason) return
      lastReason = reason
      const trouble = troubleOf(codeOf(error), reason)
      const advice = trouble === 'out_of_storage' ? `; ${STORAGE_ADVICE}` : ''
      log.warn({ stream, trouble, reason }, `cannot make the stream, will keep trying${advice}`)
    }
  }
}

/** Makes the stream unless one has its name: whether it did. Rejects with the server's reason. */
export async function makeIfMissing(
  connection: NatsConnection,
  { name, subject, maxAgeMs, duplicateWindowMs }: StreamSettings,
): Promise<boolean> {
  const streams = await streamsOf(connection)
  if (await unlessCode(streams.info(name), JetStreamApiCodes.StreamNotFound)) return false
  const made = streams.add({
    name,
    subjects: [subject],
    storage: 'file',
    retention: 'limits',
    discard: 'old',
    max_age: maxAgeMs * 1e6,
    duplicate_window: duplicateWindowMs * 1e6,
  })
  // Another node may have been quicker, with other options.
  return (await unlessCode(made, NAME_IN_USE)) !== undefined
}

/** The name of the stream that takes the subject, if any. */
export const streamTaking = async (connection: NatsConnection, subject: string) =>
  unlessCode((await streamsOf(connection)).find(subject), JetStreamApiCodes.StreamNotFound)

/** Undefined where the server answers with this error. */
const unlessCode = <T>(answer: Promise<T>, code: number): Promise<T | undefined> =>
  answer.catch((error) => {
    if (codeOf(error) !== code) throw error
    return undefined
  })

const codeOf = (error: unknown) => (error instanceof JetStreamApiError ? error.code : undefined)
