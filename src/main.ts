#!/usr/bin/env node
// The process edge: command line in, exit code out. The only place that reads process.argv and exits.

import { parseCommandLine } from './cli.ts'
import { lastWords } from './errors.ts'
import { createLogger } from './log.ts'
import { useKernelRandom } from './random.ts'
import { stopSignals } from './signals.ts'

main().then((code) => process.exit(code))

async function main(): Promise<number> {
  try {
    const invocation = parseCommandLine(process.argv.slice(2), process.env)
    switch (invocation.run) {
      case 'print':
        process.stdout.write(invocation.text)
        return 0
      case 'sample': {
        const { writeSamples } = await import('./sample.ts')
        await writeSamples(process.stdout, invocation.config)
        return 0
      }
      case 'check': {
        const { check } = await import('./check.ts')
        return await check(invocation.config, process.stdout)
      }
      case 'forward': {
        useKernelRandom()
        const { stop, abandon } = stopSignals()
        const log = await createLogger(invocation.config)
        const { forward } = await import('./forward.ts')
        return await forward(invocation.config, log, stop, abandon)
      }
    }
  } catch (error) {
    const { text, code } = lastWords(error)
    process.stderr.write(text)
    return code
  }
}
