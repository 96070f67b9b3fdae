// JetStream's errors, in the server's words.

import TABLE from '../../../src/forward/delivery/jetstream/error-codes.json' with { type: 'json' }

export interface ApiError {
  readonly code: number
  readonly err_code: number
  readonly description: string
}

const DESCRIPTIONS: Readonly<Record<string, string>> = Object.assign(
  {},
  ...Object.values(TABLE).map(({ codes }) => codes),
)

/** `description` for a code that carries any error of the store, or none of the table. */
export const apiError = (err_code: number, description = DESCRIPTIONS[err_code]): ApiError => ({
  code: 503,
  err_code,
  description: description ?? 'unknown',
})
