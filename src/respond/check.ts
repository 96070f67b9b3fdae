// --check: a line for each playbook.

import { formatDuration } from '../shared/options/units.ts'
import type { Plan, Playbook } from './playbook/playbook.ts'

export function describePlan(plan: Plan): string {
  const lines = [
    `ok    ${plan.dryRun ? 'dry run: nothing will be done' : 'for real'}, at most ${plan.maxActionsPerMinute} actions a minute`,
    `ok    protected: ${plan.protectedNamespaces.join(', ') || 'no namespace'}, and our own`,
    ...plan.playbooks.map((playbook) => `ok    ${describePlaybook(playbook)}`),
  ]
  return `${lines.join('\n')}\n`
}

function describePlaybook({ name, on, steps, concurrency, maxDeliver, coolDownMs }: Playbook) {
  const names = steps.map(({ step }) => step.name).join(', then ')
  const cool = coolDownMs > 0 ? `, cools down for ${formatDuration(coolDownMs)}` : ''
  return `${name}: on ${on.join(', ')}: ${names} (${concurrency} at a time, ${maxDeliver} tries${cool})`
}
