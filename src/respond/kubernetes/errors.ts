// What the API server refused. Apart, since the client of it is large, and is loaded only to act.

import { StepError } from '../steps/step.ts'

export class ApiError extends StepError {
  override name = 'ApiError'
  readonly status: number
  /** Such as `AlreadyExists`; empty where it gave none. */
  readonly reason: string
  constructor(message: string, status: number, reason: string) {
    super(message, { retryable: PASSING.has(status) || status >= 500 })
    this.status = status
    this.reason = reason
  }
}

/** Permissions and tokens may be mended, and conflicts and limits pass. */
const PASSING = new Set([401, 403, 408, 409, 429])
