// The playbooks that the options name: from their file, or one from the command line.

import { readFileSync } from 'node:fs'
import { messageOf, quoted, UsageError } from '../../shared/errors.ts'
import type { RespondConfig } from '../options.ts'
import { readPlan, singlePlan } from './plan.ts'
import type { Plan } from './playbook.ts'

type Source = Pick<
  RespondConfig,
  'config' | 'playbook' | 'subject' | 'env' | 'act' | 'dryRun' | 'test'
>

/** Dry with --dry-run and --test, whatever else is said. Throws a UsageError: a file that cannot be read or used, a step that is none. */
export function loadPlan(source: Source): Plan {
  const { config: file, playbook, subject, env, act, dryRun, test } = source
  const plan =
    playbook === undefined
      ? readPlan(textOf(file!), file!)
      : singlePlan(playbook, subject ?? [], env ?? [], act)
  return dryRun || test !== undefined ? { ...plan, dryRun: true } : plan
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
