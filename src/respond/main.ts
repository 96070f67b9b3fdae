#!/usr/bin/env node

// The process edge of `falco-nats respond`, as main.ts is that of the forwarder: a file of its own,
// so that neither loads the other's half.

import { createLogger } from '../shared/log.ts'
import { catchBugs, end, failed } from '../shared/process/end.ts'
import { printing, printText } from '../shared/process/print.ts'
import { stopSignals } from '../shared/process/shutdown.ts'
import { parseRespond } from './command-line.ts'
import { loadPlan } from './playbook/load.ts'

main().then(end)

async function main(): Promise<number> {
  try {
    const argv = process.argv.slice(2)
    const invocation = parseRespond(argv[0] === 'respond' ? argv.slice(1) : argv, process.env)
    switch (invocation.run) {
      case 'print':
        return await printText(invocation.text)
      case 'check': {
        const { describePlan } = await import('./check.ts')
        return await printText(describePlan(loadPlan(invocation.config)))
      }
      case 'rbac': {
        const { rbacYaml } = await import('./rbac.ts')
        return await printText(rbacYaml(loadPlan(invocation.config)))
      }
      case 'test': {
        const plan = loadPlan(invocation.config)
        const { tryAlert } = await import('./dry-test.ts')
        return await printing((output) => tryAlert(invocation.alert, plan, output))
      }
      case 'respond': {
        const { stop, abandon } = stopSignals()
        const plan = loadPlan(invocation.config)
        const log = await createLogger(invocation.config)
        catchBugs(log)
        const { respond } = await import('./respond.ts')
        return await respond(invocation.config, plan, log, stop, abandon)
      }
    }
  } catch (error) {
    return failed(error)
  }
}
