// The playbooks that the options name: from their file, or one from the command line.

import { readFileSync } from 'node:fs'
import { messageOf, printable, UsageError } from '../errors.ts'
import type { RespondConfig } from './options.ts'
import { readPlan, singlePlan } from './plan.ts'
import type { Plan } from './playbook.ts'

type Source = Pick<RespondConfig, 'config' | 'playbook' | 'subject' | 'env' | 'act' | 'dryRun'>

/** Throws a UsageError: a file that cannot be read or used, a step that is none. */
export function loadPlan({ config: file, playbook, subject, env, act, dryRun }: Source): Plan {
  const plan =
    playbook === undefined
      ? readPlan(textOf(file!), file!)
      : singlePlan(playbook, subject ?? [], env ?? [], act)
  return dryRun ? { ...plan, dryRun: true } : plan
}

function textOf(file: string): string {
  try {
    return readFileSync(file, 'utf8')
  } catch (error) {
    throw new UsageError(
      `--config ${printable(JSON.stringify(file))}: ${messageOf(error)}; allowed: a file that we may read`,
    )
  }
}
