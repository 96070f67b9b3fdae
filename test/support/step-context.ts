// What a step is given, for steps that are tried alone and need neither cluster nor NATS.

import pino from 'pino'
import type { StepContext } from '../../src/respond/step.ts'

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
    id: 'AAAAAAAAAAAAAAAAAAAAAA',
    subject: 'falco.critical.terminal_shell_in_container',
    playbook: 'on-call',
    index: 0,
    dryRun: false,
    signal: new AbortController().signal,
    cluster: none,
    bucket: none,
    log: pino({ level: 'silent' }),
    ...more,
  }
}
