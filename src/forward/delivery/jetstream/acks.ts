// JetStream's answer to a published alert: stored, or why not and what helps, by the server's error codes.
// error-codes.json has the codes that a publisher or a client that makes a stream can meet, with the server's words
// for them (https://github.com/nats-io/nats-server/blob/main/server/errors.json).

import { messageOf, printable } from '../../../shared/errors.ts'
import type { Logger } from '../../../shared/log.ts'
import TABLE from './error-codes.json' with { type: 'json' }
import { addCommand, type StreamSettings } from './stream-settings.ts'

export type Trouble = keyof typeof TABLE

/** Why an alert is not stored. */
export interface Failure {
  readonly trouble: Trouble
  /** The server's words. */
  readonly reason: string
  /** The stream that answered. */
  readonly stream?: string
}

export type Answer = 'stored' | 'duplicate' | Failure

export const UNANSWERED: Failure = { trouble: 'timeout', reason: 'no answer' }

interface Body {
  readonly stream?: string
  readonly duplicate?: boolean
  readonly error?: { readonly err_code?: number; readonly description?: string }
}

const decoder = new TextDecoder()

/** Takes any bytes: a plain subscriber may answer, too. */
export function readAnswer(data: Uint8Array): Answer {
  // The server itself answers without a body when the subject has no subscriber.
  if (data.length === 0) return { trouble: 'no_responders', reason: 'no responders' }
  try {
    const { stream, duplicate, error }: Body = JSON.parse(decoder.decode(data))
    if (error === undefined) {
      if (typeof stream !== 'string' || stream === '')
        return noAcknowledgement('it names no stream')
      return duplicate === true ? 'duplicate' : 'stored'
    }
    const reason = printable(error.description ?? 'unknown error')
    const trouble = troubleOf(error.err_code, reason)
    return { trouble, reason, ...(stream && { stream: printable(stream) }) }
  } catch (error) {
    return noAcknowledgement(messageOf(error))
  }
}

const noAcknowledgement = (why: string): Failure => ({
  trouble: 'refused',
  reason: `the answer is no acknowledgement: ${why}`,
})

const TROUBLES = Object.keys(TABLE) as Trouble[]

/** This code carries any error of the stream's store. */
const STORE_FAILED = 10077
const STORE_ERRORS: readonly [reason: RegExp, trouble: Trouble][] = [
  [/^maximum /, 'stream_full'],
  [/no space left|insufficient|limits? exceeded/, 'out_of_storage'],
  [/^message too large/, 'too_large'],
]

/** `refused` for an unknown code: the log has the server's words, and the alert is retried. */
export const troubleOf = (code: number | undefined, reason: string): Trouble =>
  (code === STORE_FAILED
    ? STORE_ERRORS.find(([known]) => known.test(reason))?.[1]
    : TROUBLES.find((trouble) => String(code) in TABLE[trouble].codes)) ?? 'refused'

export const STORAGE_ADVICE =
  'give the server or the account more, or let its streams keep less (nats account info shows the limits)'

/** For the log, about an alert on `subject` that `stream`, where one answered, did not store. */
export function adviceFor(
  { trouble, stream }: Pick<Failure, 'trouble' | 'stream'>,
  subject: string,
  settings: StreamSettings,
): string {
  const { name: expected } = settings
  const command = addCommand(settings)
  const values = { subject, stream: stream ?? expected, expected, command, storage: STORAGE_ADVICE }
  return TABLE[trouble].advice.replace(/\{(\w+)\}/g, (_, key: keyof typeof values) => values[key])
}

/** Logs a line when trouble begins or becomes another, and one when it is over. */
export function createTroubleLog(log: Logger, settings: StreamSettings) {
  let current: Trouble | undefined
  return {
    /** The trouble that was logged and is not over. */
    current: () => current,
    begin(failure: Failure, subject: string): void {
      const { trouble, reason } = failure
      if (trouble === current) return
      current = trouble
      log.warn({ trouble, reason, subject }, adviceFor(failure, subject, settings))
    },
    end(): void {
      if (current !== undefined) log.info('JetStream acknowledges again')
      current = undefined
    },
  }
}

export type TroubleLog = ReturnType<typeof createTroubleLog>
