#!/usr/bin/env node

// The process edge: command line in, exit code out. The only place that reads process.argv.

import { createLogger } from '../shared/log.ts'
import { catchBugs, end, failed } from '../shared/process/end.ts'
import { printing, printText } from '../shared/process/print.ts'
import { stopSignals } from '../shared/process/shutdown.ts'
import { parseCommandLine } from './command-line.ts'
import { useKernelRandom } from './kernel-random.ts'

main().then(end)

async function main(): Promise<number> {
  try {
    const invocation = parseCommandLine(process.argv.slice(2), process.env)
    switch (invocation.run) {
      case 'print':
        return await printText(invocation.text)
      case 'sample': {
        const { writeSamples } = await import('./sample.ts')
        return await printing((output) => writeSamples(output, invocation.config))
      }
      case 'check': {
        const { check } = await import('./check.ts')
        return await printing((output) => check(invocation.config, output))
      }
      case 'forward': {
        useKernelRandom()
        const { stop, abandon } = stopSignals()
        const log = await createLogger(invocation.config)
        catchBugs(log)
        const { forward } = await import('./forward.ts')
        return await forward(invocation.config, log, stop, abandon)
      }
    }
  } catch (error) {
    return failed(error)
  }
}
