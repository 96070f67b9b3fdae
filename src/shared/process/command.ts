// The commands of both halves: those that only print, and jobs that run until a signal.

import { constants } from 'node:os'
import { FatalError, messageOf, printable } from '../errors.ts'
import { createLogger, type Logger, type LogOptions } from '../log.ts'
import { catchBugs, end, failed } from './end.ts'
import { type Output, standardOutput } from './output.ts'
import { STOP_SIGNALS, stopSignals } from './shutdown.ts'

/** Runs it, then ends the process with its exit code. */
export function runCommand(command: () => Promise<number>): Promise<never> {
  reportWarnings(...process.listeners('warning'))
  return command().catch(failed).then(end)
}

export type Job = (log: Logger, stop: AbortSignal, abandon: AbortSignal) => Promise<number>

/** Runs a job with its log and signals. Returns the exit code. */
export async function runJob(options: LogOptions, load: () => Promise<Job>): Promise<number> {
  const { stop, abandon } = stopSignals()
  const log = await createLogger(options)
  // Node itself would block while standard error is full.
  reportWarnings(({ name, message }) =>
    log.warn({ reason: printable(message) }, `Node.js warns: ${printable(name)}`),
  )
  catchBugs(log)
  const job = await load()
  return await job(log, stop, abandon)
}

/** Replaces the reporters of Node's warnings. Node 22 warns that SQLite is experimental: no user can act on it. */
function reportWarnings(...reporters: NodeJS.WarningListener[]): void {
  process.removeAllListeners('warning')
  for (const report of reporters)
    process.on('warning', (warning) => {
      const { name, message } = warning
      if (name !== 'ExperimentalWarning' || !message.startsWith('SQLite ')) report(warning)
    })
}

/** Returns the exit code of `command` once its output is written, or its reader has gone away. */
export async function printing(
  command: (output: Output) => number | Promise<number>,
): Promise<number> {
  endOnSignals()
  const output = standardOutput()
  const code = await command(output)
  const failure = await output.written()
  if (failure !== undefined && failure.code !== 'EPIPE')
    throw new FatalError(`cannot write to standard output: ${messageOf(failure)}`)
  return code
}

export const printText = (text: string): Promise<number> =>
  printing((output) => {
    output.write(text)
    return 0
  })

/** Signals take their default action; the first process of a container has none. */
function endOnSignals(): void {
  for (const name of STOP_SIGNALS)
    process.on(name, () => {
      process.removeAllListeners(name)
      process.kill(process.pid, name)
      end(128 + constants.signals[name])
    })
}
