// A time limit for what may not heed one.

import { StepError } from '../steps/step.ts'

/** A step that does not heed its signal is left behind, so that it holds up no other. */
export async function within<T>(
  ms: number,
  abandon: AbortSignal,
  act: (signal: AbortSignal) => Promise<T>,
): Promise<T> {
  const over = new AbortController()
  const { signal } = over
  const end = (message: string) => over.abort(new StepError(message, { retryable: true }))
  const onAbandon = () => end('given up: asked to end at once')
  // Before the step listens, so that this is the reason, and not what the step makes of its signal.
  const ended = new Promise<never>((_, reject) =>
    signal.addEventListener('abort', () => reject(signal.reason)),
  )
  const timer = setTimeout(end, ms, `took longer than its timeout of ${ms / 1000} s`)
  abandon.addEventListener('abort', onAbandon)
  try {
    if (abandon.aborted) onAbandon()
    return await Promise.race([ended, act(signal)])
  } finally {
    clearTimeout(timer)
    abandon.removeEventListener('abort', onAbandon)
  }
}
