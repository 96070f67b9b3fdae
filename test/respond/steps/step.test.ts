import { expect, it } from 'vitest'
import { ApiError } from '../../../src/respond/kubernetes/errors.ts'
import { isRetryable, StepError } from '../../../src/respond/steps/step.ts'

it.each([
  [new StepError('away', { retryable: true }), true],
  [new StepError('for good', { retryable: false }), false],
  [new ApiError('no answer'), true],
  [new ApiError('conflict', { status: 409 }), true],
  [new ApiError('invalid', { status: 422 }), false],
  [new Error('any'), true],
  [{ retryable: false }, false],
  [{ retryable: 0 }, true],
  [{ mayPass: false }, false],
  [{ mayPass: true }, true],
  ['text', true],
  [null, true],
  [undefined, true],
])('takes %s for retryable: %s', (error, expected) => {
  expect(isRetryable(error)).toBe(expected)
})
