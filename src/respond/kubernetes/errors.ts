// Why a call of the Kubernetes API failed. Apart, since its client is large, and is loaded only to act.

interface Answer {
  readonly status?: number
  readonly reason?: string
  readonly cause?: unknown
}

export class ApiError extends Error {
  override name = 'ApiError'
  /** Undefined: there was no answer that could be used. */
  readonly status: number | undefined
  /** Such as `AlreadyExists`; empty where the server gave none. */
  readonly reason: string
  readonly retryable: boolean
  constructor(message: string, { status, reason = '', cause }: Answer = {}) {
    super(message, { cause })
    this.status = status
    this.reason = reason
    this.retryable = status === undefined || status >= 500 || RETRYABLE.has(status)
  }
}

/** Permissions and tokens may be mended, and conflicts and limits pass. */
const RETRYABLE = new Set([401, 403, 408, 409, 429])
