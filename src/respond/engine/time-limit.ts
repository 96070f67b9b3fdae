// A time limit for what may not heed one.

import { StepError } from '../steps/step.ts'

/** A step that does not heed its signal is left behind, so that it holds up nobody. */
export async function within<T>(
  ms: number,
  abandon: AbortSignal,
  act: (signal: AbortSignal) => Promise<T>,
): Promise<T> {
  const over = new AbortController()
  const given = Promise.withResolvers<never>()
  const end = (message: string) => {
    const error = new StepError(message, { retryable: true })
    // First, so that this is what is told, and not what the step makes of its signal.
    given.reject(error)
    over.abort(error)
  }
  const onAbandon = () => end('given up: asked to end at once')
  const timer = setTimeout(() => end(`took longer than its timeout of ${ms / 1000} s`), ms)
  abandon.addEventListener('abort', onAbandon)
  try {
    if (abandon.aborted) onAbandon()
    const acting = act(over.signal)
    acting.catch(() => {})
    return await Promise.race([given.promise, acting])
  } finally {
    clearTimeout(timer)
    abandon.removeEventListener('abort', onAbandon)
    given.promise.catch(() => {})
  }
}
