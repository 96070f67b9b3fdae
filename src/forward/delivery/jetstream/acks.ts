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

/** Understands answers, whatever they are. */
export function readAnswer(message: Msg): Answer {
  // An answer without a body is the server's own: the subject has no subscriber.
  if (message.data.length === 0) return { trouble: 'no_responders', reason: 'no responders' }
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
