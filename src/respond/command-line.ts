// The grammar of `falco-nats respond`: arguments and environment in, what to do out. Pure.

import { UsageError } from '../shared/errors.ts'
import { checkCredentialOptions } from '../shared/nats/credentials.ts'
import {
  createProgram,
  type Environment,
  resolveOptions,
  runProgram,
} from '../shared/options/command-line.ts'
import { longFlag } from '../shared/options/table.ts'
import { BETWEEN, RESPOND_OPTIONS, type RespondConfig } from './options.ts'

export type RespondInvocation =
  | { readonly run: 'respond' | 'check' | 'rbac'; readonly config: RespondConfig }
  /** `alert`: the file. */
  | { readonly run: 'test'; readonly config: RespondConfig; readonly alert: string }
  /** --help. */
  | { readonly run: 'print'; readonly text: string }

/** At most one of each row. */
const EXCLUSIVE = [
  ['config', 'playbook'],
  ['act', 'dryRun'],
  ['core', 'stream'],
  ['check', 'rbac', 'test'],
] as const

/** Understands what stands behind `respond`. Throws a UsageError; what the playbooks are, plan.ts looks at. */
export function parseRespond(argv: readonly string[], env: Environment): RespondInvocation {
  let config: RespondConfig | undefined
  const program = createProgram(
    'falco-nats respond',
    'Acts on the alerts that reach NATS: runs the playbooks that are meant for them.',
    RESPOND_OPTIONS,
  ).action((given) => {
    config = resolveOptions(RESPOND_OPTIONS, given, env)
  })
  program.options
    .find(({ long }) => long === '--env')
    ?.argParser((text: string, before?: string) =>
      before === undefined ? text : `${before}${BETWEEN}${text}`,
    )
  const text = runProgram(program, argv)
  return text === undefined ? invocationOf(config!) : { run: 'print', text }
}

function invocationOf(config: RespondConfig): RespondInvocation {
  const { config: file, playbook, subject, check, rbac, test } = config
  for (const keys of EXCLUSIVE) {
    const given = keys.filter((key) => config[key]).map((key) => longFlag(RESPOND_OPTIONS[key]))
    if (given.length > 1)
      throw new UsageError(`${given.join(' and ')} are given; allowed: one of them`)
  }
  if (file === undefined && playbook === undefined)
    throw new UsageError('no playbooks are given; allowed: --config or --playbook')
  if (playbook !== undefined && subject === undefined)
    throw new UsageError('--playbook is given without --subject; allowed: both or none')
  for (const key of ['subject', 'env', 'act'] as const)
    if (config[key] && playbook === undefined)
      throw new UsageError(
        `--${key} is given without --playbook; a file of playbooks says it itself`,
      )
  checkCredentialOptions(config)
  if (test !== undefined) return { run: 'test', config, alert: test }
  return { run: check ? 'check' : rbac ? 'rbac' : 'respond', config }
}
