// Steps tried alone: what they are given, and how they are called.

import pino from 'pino'
import type { Cluster } from '../../src/respond/kubernetes/cluster.ts'
import type { Done, Step, StepContext } from '../../src/respond/steps/step.ts'
import { soon } from './wait.ts'

export const ID = 'AAAAAAAAAAAAAAAAAAAAAA'

/** Of a step that needs neither cluster nor NATS. */
export function stepContext(more: Partial<StepContext> = {}): StepContext {
  const none = (): never => {
    throw new Error('this step must not need it')
  }
  return {
    alert: {
      time: '2026-08-03T01:14:29.502328455Z',
      priority: 'Critical',
      rule: 'Terminal shell in container',
      source: 'syscall',
      output: 'A shell was spawned',
      hostname: 'worker-2',
      tags: ['shell'],
      output_fields: { 'k8s.ns.name': 'shop', 'k8s.pod.name': 'cart-1', 'proc.tty': 34816 },
    },
    id: ID,
    subject: 'falco.critical.terminal_shell_in_container',
    playbook: 'on-call',
    index: 0,
    dryRun: false,
    signal: soon(),
    cluster: none,
    bucket: none,
    log: pino({ level: 'silent' }),
    ...more,
  }
}

/** Of one that acts upon a cluster. */
export const contextOf = (cluster: Cluster, more: Partial<StepContext> = {}): StepContext =>
  stepContext({ cluster: () => cluster, ...more })

/** With what the file says, checked as the file is. */
export function run<P>(step: Step<P>, params: unknown, context: StepContext): Promise<Done> {
  return step.run(step.params.parse(params), context)
}
