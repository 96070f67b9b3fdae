// What the entry points of both halves share: a command's exit code, and a job with its log and signals.

import { createLogger, type Logger } from '../log.ts'
import { catchBugs, end, failed } from './end.ts'
import { stopSignals } from './shutdown.ts'

/** Runs it, then ends the process with the exit code that it gives. */
export const runCommand = (command: () => Promise<number>): Promise<never> =>
  command().catch(failed).then(end)

export type Job = (log: Logger, stop: AbortSignal, abandon: AbortSignal) => Promise<number>

/** Gives the exit code of what runs until a signal. */
export async function runJob(
  options: Parameters<typeof createLogger>[0],
  load: () => Promise<Job>,
): Promise<number> {
  const { stop, abandon } = stopSignals()
  const log = await createLogger(options)
  catchBugs(log)
  const job = await load()
  return await job(log, stop, abandon)
}
