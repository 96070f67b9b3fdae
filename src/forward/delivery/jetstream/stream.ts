// The stream that is to take the alerts: whether it is there, and how to make it.

import { JetStreamApiError, jetstreamManager, type StreamConfig } from '@nats-io/jetstream'
import type { NatsConnection } from 'nats'
import { messageOf } from '../../../shared/errors.ts'
import type { Logger } from '../../../shared/log.ts'
import { STORAGE_ADVICE, troubleOf } from './error-codes.ts'
import type { StreamSettings } from './stream-settings.ts'

/** The server's errors: https://github.com/nats-io/nats-server/blob/main/server/errors.json */
const NOT_FOUND = 10059
const NAME_IN_USE = 10058

/**
 * Makes the stream when there is none of that name, and leaves one that is there alone. Gives
 * whether it was made. Rejects with the server's reason.
 */
export async function ensureStream(
  connection: NatsConnection,
  settings: StreamSettings,
): Promise<boolean> {
  const { streams } = await jetstreamManager(connection, { checkAPI: false })
  try {
    await streams.info(settings.name)
    return false
  } catch (error) {
    if (codeOf(error) !== NOT_FOUND) throw error
  }
  const wanted: Partial<StreamConfig> = {
    subjects: [settings.subject],
    storage: 'file',
    retention: 'limits',
    discard: 'old',
    max_age: settings.maxAgeMs * 1e6,
    duplicate_window: settings.duplicateWindowMs * 1e6,
  }
  try {
    await streams.add({ name: settings.name, ...wanted })
    return true
  } catch (error) {
    // Another node was quicker, with other options.
    if (codeOf(error) === NAME_IN_USE) return false
    throw error
  }
}

export type StreamMaker = (connection: NatsConnection) => Promise<void>

/** Makes the stream if it is missing; never rejects; says what is new. */
export function createStreamMaker(settings: StreamSettings, log: Logger): StreamMaker {
  let said: string | undefined
  return async (connection) => {
    try {
      const { name: stream, subject } = settings
      if (await ensureStream(connection, settings)) log.info({ stream, subject }, 'made the stream')
      said = undefined
    } catch (error) {
      const reason = messageOf(error)
      if (connection.isClosed() || reason === said) return
      said = reason
      const trouble = troubleOf(codeOf(error), reason)
      const advice = trouble === 'out_of_storage' ? `; ${STORAGE_ADVICE}` : ''
      log.warn(
        { stream: settings.name, trouble, reason },
        `cannot make the stream, will keep trying${advice}`,
      )
    }
  }
}

/** The name of the stream that takes the subject, undefined when there is none. */
export async function streamTaking(
  connection: NatsConnection,
  subject: string,
): Promise<string | undefined> {
  const { streams } = await jetstreamManager(connection, { checkAPI: false })
  try {
    return await streams.find(subject)
  } catch (error) {
    if (codeOf(error) === NOT_FOUND) return undefined
    throw error
  }
}

const codeOf = (error: unknown) => (error instanceof JetStreamApiError ? error.code : undefined)
