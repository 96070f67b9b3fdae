#!/usr/bin/env node
// The process edge of `falco-nats respond`, as main.ts is that of the forwarder: a file of its own,
// so that neither loads the other's half.

import { lastWords } from '../errors.ts'
import { createLogger } from '../log.ts'
import { stopSignals } from '../signals.ts'
import { parseRespond } from './cli.ts'
import { loadPlan } from './load.ts'

// A pipe takes a long text only bit by bit, and what it has not taken would be lost.
main().then((code) => process.stdout.write('', () => process.exit(code)))

async function main(): Promise<number> {
  try {
    const argv = process.argv.slice(2)
    const invocation = parseRespond(argv[0] === 'respond' ? argv.slice(1) : argv, process.env)
    switch (invocation.run) {
      case 'print':
        process.stdout.write(invocation.text)
        return 0
      case 'check': {
        const { describePlan } = await import('./describe.ts')
        process.stdout.write(describePlan(loadPlan(invocation.config)))
        return 0
      }
      case 'rbac': {
        const { rbacYaml } = await import('./rbac.ts')
        process.stdout.write(rbacYaml(loadPlan(invocation.config)))
        return 0
      }
      case 'test': {
        const plan = loadPlan(invocation.config)
        const { tryAlert } = await import('./try.ts')
        return await tryAlert(invocation.alert, plan, process.stdout)
      }
      case 'respond': {
        const { stop, abandon } = stopSignals()
        const plan = loadPlan(invocation.config)
        const log = await createLogger(invocation.config)
        const { respond } = await import('./respond.ts')
        return await respond(invocation.config, plan, log, stop, abandon)
      }
    }
  } catch (error) {
    const { text, code } = lastWords(error)
    process.stderr.write(text)
    return code
  }
}
