// The playbooks that the options name: from their file, or one from the command line.

import { readFileSync } from 'node:fs'
import { messageOf, quoted, UsageError } from '../../shared/errors.ts'
import { ownNamespace } from '../kubernetes/own-namespace.ts'
import { readPlan, singlePlan } from './plan.ts'
import type { Plan } from './playbook.ts'

/** Of the options of `falco-nats respond`, those that make the plan. */
export interface PlanSource {
  readonly config: string | undefined
  readonly playbook: string | undefined
  readonly subject: readonly string[] | undefined
  readonly env: readonly (readonly [key: string, value: string])[] | undefined
  readonly act: boolean
  readonly dryRun: boolean
  readonly test: string | undefined
}

/** Dry with --dry-run and --test in any case. Throws a UsageError. */
export function loadPlan(source: PlanSource): Plan {
  const { config: file, playbook, subject, env, act, dryRun, test } = source
  const plan =
    playbook === undefined
      ? readPlan(textOf(file!), file!)
      : singlePlan(playbook, subject ?? [], env ?? [], act)
  return dryRun || test !== undefined ? { ...plan, dryRun: true } : plan
}

/** The plan, with the namespace that we run in among the protected ones. */
export function protectOurselves(plan: Plan): Plan {
  const own = ownNamespace()
  if (own === undefined) return plan
  return { ...plan, protectedNamespaces: [...new Set([...plan.protectedNamespaces, own])] }
}

function textOf(file: string): string {
  try {
    return readFileSync(file, 'utf8')
  } catch (error) {
    throw new UsageError(
      `--config ${quoted(file)}: ${messageOf(error)}; allowed: a file that we may read`,
    )
  }
}
