// The process edge of `falco-nats respond`, a file of its own, so that neither program loads the other's half.

import { printing, printText, runCommand, runJob } from '../shared/process/command.ts'
import { parseRespond } from './command-line.ts'
import { loadPlan } from './playbook/plan.ts'

runCommand(async () => {
  const argv = process.argv.slice(2)
  const invocation = parseRespond(argv[0] === 'respond' ? argv.slice(1) : argv, process.env)
  if (invocation.run === 'print') return await printText(invocation.text)
  const { run, config } = invocation
  const plan = loadPlan(config)
  switch (run) {
    case 'check':
      return await printText((await import('./check.ts')).describePlan(plan))
    case 'rbac':
      return await printText((await import('./rbac.ts')).rbacYaml(plan))
    case 'test': {
      const { dryTest } = await import('./dry-test.ts')
      return await printing((output) => dryTest(invocation.alert, plan, output))
    }
    case 'respond':
      return await runJob(config, async () => {
        const { respond } = await import('./respond.ts')
        return (...signals) => respond(config, plan, ...signals)
      })
  }
})
