// The stream that is to take the alerts: what it must be like, whether it is there, how to make it.

import { JetStreamApiError, jetstreamManager, type StreamConfig } from '@nats-io/jetstream'
import type { NatsConnection } from 'nats'
import { messageOf, UsageError } from './errors.ts'
import type { Logger } from './log.ts'
import type { Config } from './options.ts'
import { streamSubject } from './subject.ts'
import { formatDuration } from './units.ts'

const DAY_MS = 86_400_000
const MINUTE_MS = 60_000
/** The server's errors: https://github.com/nats-io/nats-server/blob/main/server/errors.json */
const NOT_FOUND = 10059
const NAME_IN_USE = 10058

/** A stream as `--create-stream` makes it. */
export interface StreamSettings {
  readonly name: string
  readonly subject: string
  /** 0: no limit. */
  readonly maxAgeMs: number
  readonly duplicateWindowMs: number
}

/** What the options make of it; a template without a first fixed token listens to everything. */
export function streamSettings(config: Config): StreamSettings {
  return {
    name: config.stream ?? 'FALCO',
    subject: streamSubject(config.subject) ?? '>',
    maxAgeMs: config.streamMaxAge ?? 7 * DAY_MS,
    duplicateWindowMs: config.duplicateWindow ?? 2 * MINUTE_MS,
  }
}

/** Throws a UsageError when options are given that do nothing, or contradict each other. */
export function checkStreamOptions(config: Config): void {
  const needs = (needed: string, options: Record<string, unknown>) => {
    for (const [flag, value] of Object.entries(options))
      if (value !== undefined && value !== false)
        throw new UsageError(`${flag} is given without ${needed}; allowed: only with it`)
  }
  if (!config.jetstream)
    needs('--jetstream', {
      '--stream': config.stream,
      '--create-stream': config.createStream,
      '--max-in-flight': config.maxInFlight,
    })
  if (!config.createStream) {
    needs('--create-stream', {
      '--stream-max-age': config.streamMaxAge,
      '--duplicate-window': config.duplicateWindow,
    })
    return
  }
  if (streamSubject(config.subject) === undefined)
    throw new UsageError(
      `--create-stream with --subject ${config.subject.text}: it begins with a token, so a stream for it would take everything; allowed: a template such as falco.<priority>.<rule>`,
    )
  const { maxAgeMs, duplicateWindowMs } = streamSettings(config)
  if (maxAgeMs > 0 && duplicateWindowMs > maxAgeMs)
    throw new UsageError(
      '--duplicate-window is longer than --stream-max-age; allowed: up to as long',
    )
}

/** The command of the nats CLI that makes the stream. */
export function addCommand({ name, subject, maxAgeMs, duplicateWindowMs }: StreamSettings): string {
  const maxAge = maxAgeMs > 0 ? ` --max-age ${formatDuration(maxAgeMs)}` : ''
  return `nats stream add ${name} --subjects '${subject}' --storage file --discard old${maxAge} --dupe-window ${formatDuration(duplicateWindowMs)} --defaults`
}

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
      log.warn({ stream: settings.name, reason }, 'cannot make the stream, will keep trying')
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
