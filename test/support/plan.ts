// The file of playbooks as text, and what is wrong with it.

import { expect } from 'vitest'
import { readPlan } from '../../src/respond/playbook/plan.ts'
import { UsageError } from '../../src/shared/errors.ts'

export const read = (text: string) => readPlan(text, '/etc/falco-nats/playbooks.yaml')

/** One playbook with what a test is about. */
export const one = (more: string, steps = 'steps: [{ delete-pod: {} }]') =>
  `playbooks:\n  - name: p\n    on: [falco.>]\n    ${more}\n    ${steps}\n`
export const oneStep = (step: string) => one('', `steps: [${step}]`)

/** Of a file that must be refused: the line of the error, from its place on. */
export function failure(text: string): string {
  try {
    read(text)
  } catch (error) {
    expect(error).toBeInstanceOf(UsageError)
    const { message } = error as Error
    expect(message).toMatch(/^\/etc\/falco-nats\/playbooks\.yaml:\d+:\d+: [ -~]+$/)
    return message.replace('/etc/falco-nats/playbooks.yaml:', '')
  }
  throw new Error('it was accepted')
}
