#!/usr/bin/env node
// The process edge: command line in, exit code out. The only place that reads process.argv.

import { printing, printText, runCommand, runJob } from '../shared/process/command.ts'
import { parseCommandLine } from './command-line.ts'

runCommand(async () => {
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
    case 'forward':
      return await runJob(invocation.config, async () => {
        const { forward } = await import('./forward.ts')
        const { systemEnvironment } = await import('./environment.ts')
        const { trimHeap } = await import('./memory-trim.ts')
        trimHeap()
        const environment = systemEnvironment(invocation.config)
        return (...signals) => forward(invocation.config, environment, ...signals)
      })
  }
})
