// Why a call of the Kubernetes API failed. Apart, since its client is large, and is loaded only to act.

/** Permissions and tokens may be mended, and conflicts and limits pass. */
const RETRYABLE = new Set([401, 403, 408, 409, 429])

export class ApiError extends Error {
  override name = 'ApiError'
  /** Undefined: there was no answer that could be used. */
  readonly status: number | undefined
  /** Such as `AlreadyExists`; empty where the server gave none. */
  readonly reason: string
  readonly retryable: boolean
  constructor(message: string, of: { status?: number; reason?: string; cause?: unknown } = {}) {
    super(message, { cause: of.cause })
    this.status = of.status
    this.reason = of.reason ?? ''
    this.retryable = of.status === undefined || of.status >= 500 || RETRYABLE.has(of.status)
  }
}
