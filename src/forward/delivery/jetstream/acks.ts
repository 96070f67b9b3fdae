// JetStream's answer to a published alert, its meaning, and the log lines on it.

import type { Msg } from 'nats'
import { messageOf, printable } from '../../../shared/errors.ts'
import type { Logger } from '../../../shared/log.ts'
import { adviceFor, type Trouble, troubleOf } from './error-codes.ts'
import type { StreamSettings } from './stream-settings.ts'

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

/**
 * Understands answers, whatever they are. Those that a stream gives to what it has stored differ in a
 * number only: the text before it is remembered, so that few have to be parsed.
 */
export function createAnswerReader(): (message: Msg) => Answer {
  let stored: Uint8Array = NOTHING
  return (message) => {
    const { data } = message
    if (isNumbered(data, stored)) return 'stored'
    const answer = parseAnswer(message)
    if (answer === 'stored') stored = beforeNumber(data)
    return answer
  }
}

const NOTHING = new Uint8Array(0)
const BRACE_END = 0x7d
const isDigit = (byte: number) => byte >= 0x30 && byte <= 0x39

/** The text before the number that ends it, `…123}`; nothing where there is none. */
function beforeNumber(data: Uint8Array): Uint8Array {
  const end = data.length - 1
  if (data[end] !== BRACE_END) return NOTHING
  let at = end
  while (at > 0 && isDigit(data[at - 1]!)) at--
  return at < end ? data.slice(0, at) : NOTHING
}

/** Whether it is this text, not empty, then digits, then a brace. */
function isNumbered(data: Uint8Array, before: Uint8Array): boolean {
  const end = data.length - 1
  if (before.length === 0 || end <= before.length || data[end] !== BRACE_END) return false
  let at = 0
  while (at < before.length && data[at] === before[at]) at++
  if (at < before.length) return false
  while (at < end && isDigit(data[at]!)) at++
  return at === end
}

function parseAnswer(message: Msg): Answer {
  const { data } = message
  // An answer without a body is the server's own: the subject has no subscriber.
  if (data.length === 0) return { trouble: 'no_responders', reason: 'no responders' }
  try {
    const { stream, duplicate, error } = message.json<{
      stream?: string
      duplicate?: boolean
      error?: { err_code?: number; description?: string }
    }>()
    if (error === undefined) return duplicate === true ? 'duplicate' : 'stored'
    const reason = printable(error.description ?? 'unknown error')
    return {
      trouble: troubleOf(error.err_code, reason),
      reason,
      ...(stream && { stream: printable(stream) }),
    }
  } catch (error) {
    // A plain subscriber may answer as well, with anything.
    return { trouble: 'refused', reason: `the answer is no acknowledgement: ${messageOf(error)}` }
  }
}

/** Logs a line when trouble begins or becomes another, and one when it is over. */
export function createTroubleLog(log: Logger, settings: StreamSettings) {
  let current: Trouble | undefined
  return {
    /** The trouble that was logged and is not over. */
    current: () => current,

    begin(failure: Failure, subject: string): void {
      if (failure.trouble === current) return
      current = failure.trouble
      const { trouble, reason, stream } = failure
      log.warn({ trouble, reason, subject }, adviceFor(trouble, subject, stream, settings))
    },

    end(): void {
      if (current === undefined) return
      current = undefined
      log.info('JetStream acknowledges again')
    },
  }
}

export type TroubleLog = ReturnType<typeof createTroubleLog>
