// Commands that only print: they have nothing to finish, and end in order when their reader goes away.

import { constants } from 'node:os'
import { FatalError, messageOf } from '../errors.ts'
import { end } from './end.ts'
import { type Output, standardOutput } from './output.ts'
import { STOP_SIGNALS } from './shutdown.ts'

/** Gives the exit code of `command` once its output is written. */
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

/** The same of a text alone. */
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
