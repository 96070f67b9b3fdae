// The grammar of `falco-nats respond`: arguments and environment in, what to do out. Pure.

import { Command, CommanderError } from 'commander'
import {
  addOptions,
  type Environment,
  resolveOptions,
  usageErrorOf,
} from '../forward/command-line.ts'
import { UsageError } from '../shared/errors.ts'
import { checkCredentialOptions } from '../shared/nats/credentials.ts'
import { BETWEEN, RESPOND_OPTIONS, type RespondConfig } from './options.ts'

export type RespondInvocation =
  | { readonly run: 'respond' | 'check' | 'rbac'; readonly config: RespondConfig }
  /** `alert`: the file. */
  | { readonly run: 'test'; readonly config: RespondConfig; readonly alert: string }
  /** --help. */
  | { readonly run: 'print'; readonly text: string }

const NAME = 'falco-nats respond'

/** Understands what stands behind `respond`. Throws a UsageError; what the playbooks are, load.ts looks at. */
export function parseRespond(argv: readonly string[], env: Environment): RespondInvocation {
  let config: RespondConfig | undefined
  let printed = ''
  const program = new Command(NAME)
    .description('Acts on the alerts that reach NATS: runs the playbooks that are meant for them.')
    .helpOption('--help')
    .allowExcessArguments(false)
    .exitOverride()
    .configureOutput({ writeOut: (text) => (printed += text), writeErr: () => {} })
    .action((given) => {
      config = resolveOptions(RESPOND_OPTIONS, given, env)
    })
  addOptions(program, RESPOND_OPTIONS)
  program.options
    .find(({ long }) => long === '--env')
    ?.argParser((text: string, before?: string) =>
      before === undefined ? text : `${before}${BETWEEN}${text}`,
    )
  try {
    program.parse(argv, { from: 'user' })
  } catch (error) {
    if (!(error instanceof CommanderError)) throw error
    if (error.exitCode === 0) return { run: 'print', text: printed }
    throw usageErrorOf(error, NAME)
  }
  return invocationOf(config!)
}

function invocationOf(config: RespondConfig): RespondInvocation {
  const { config: file, playbook, subject, check, rbac, test } = config
  onlyOne([
    ['--config', file !== undefined],
    ['--playbook', playbook !== undefined],
  ])
  if (file === undefined && playbook === undefined)
    throw new UsageError('no playbooks are given; allowed: --config or --playbook')
  if (playbook !== undefined && subject === undefined)
    throw new UsageError('--playbook is given without --subject; allowed: both or none')
  for (const key of ['subject', 'env', 'act'] as const)
    if (config[key] && playbook === undefined)
      throw new UsageError(
        `--${key} is given without --playbook; a file of playbooks says it itself`,
      )
  onlyOne([
    ['--act', config.act],
    ['--dry-run', config.dryRun],
  ])
  onlyOne([
    ['--core', config.core],
    ['--stream', config.stream !== undefined],
  ])
  onlyOne([
    ['--check', check],
    ['--rbac', rbac],
    ['--test', test !== undefined],
  ])
  checkCredentialOptions(config)
  if (test !== undefined) return { run: 'test', config, alert: test }
  return { run: check ? 'check' : rbac ? 'rbac' : 'respond', config }
}

function onlyOne(options: readonly (readonly [name: string, isGiven: boolean])[]): void {
  const given = options.filter(([, isGiven]) => isGiven).map(([name]) => name)
  if (given.length > 1)
    throw new UsageError(`${given.join(' and ')} are given; allowed: one of them`)
}
