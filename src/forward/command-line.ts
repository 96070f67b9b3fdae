// The grammar of the command line: arguments and environment in, a Command out. Pure.

import { Command, CommanderError, Option } from 'commander'
import pkg from '../../package.json' with { type: 'json' }
import { messageOf, printable, UsageError } from '../shared/errors.ts'
import { checkCredentialOptions } from '../shared/nats/credentials.ts'
import {
  environmentNames,
  longFlag,
  type OptionRow,
  type OptionTable,
  type ValuesOf,
} from '../shared/options/table.ts'
import { checkStreamOptions } from './delivery/jetstream/stream-settings.ts'
import { type Config, OPTIONS, SAMPLE_OPTIONS } from './options.ts'

export type Invocation =
  | { readonly run: 'forward' | 'check'; readonly config: Config }
  | { readonly run: 'sample'; readonly config: ValuesOf<typeof SAMPLE_OPTIONS> }
  /** --help and --version. */
  | { readonly run: 'print'; readonly text: string }

export type Environment = Readonly<Record<string, string | undefined>>

/**
 * Understands a command line (without node and script) in an environment.
 * Throws a UsageError: one line with the option, what was given and what is allowed.
 */
export function parseCommandLine(argv: readonly string[], env: Environment): Invocation {
  let invocation: Invocation | undefined
  let printed = ''
  const program = new Command('falco-nats')
    .description(
      "Forwards Falco's alerts from a named pipe or standard input to NATS. The command respond acts on them.",
    )
    .version(pkg.version, '--version')
    .helpOption('--help')
    .helpCommand(false)
    .allowExcessArguments(false)
    .exitOverride()
    .configureOutput({ writeOut: (text) => (printed += text), writeErr: () => {} })
    .action((given) => {
      const config = resolveOptions(OPTIONS, given, env)
      checkCredentialOptions(config)
      checkStreamOptions(config)
      invocation = { run: config.check ? 'check' : 'forward', config }
    })
  addOptions(program, OPTIONS)
  const sample = program
    .command('sample')
    .description('Writes realistic Falco alerts to standard output, to try a pipe without Falco.')
    .helpOption('--help')
    .allowExcessArguments(false)
    .action((given) => {
      invocation = { run: 'sample', config: resolveOptions(SAMPLE_OPTIONS, given, env) }
    })
  addOptions(sample, SAMPLE_OPTIONS)
  try {
    program.parse(argv, { from: 'user' })
  } catch (error) {
    if (!(error instanceof CommanderError)) throw error
    if (error.exitCode === 0) return { run: 'print', text: printed }
    throw usageErrorOf(error, 'falco-nats')
  }
  return invocation!
}

export function usageErrorOf(error: CommanderError, command: string): UsageError {
  // What stands behind a = may be a secret that somebody hoped could be given so.
  const reason = error.message
    .replace(/^error: /, '')
    .replace(/=[^']*/g, '=...')
    .replace(/\s+/g, ' ')
  return new UsageError(`${printable(reason)}; ${command} --help lists what is allowed`)
}

export function addOptions(command: Command, table: OptionTable): void {
  for (const [key, row] of Object.entries(table)) {
    const names = environmentNames(key, row).join(', ')
    if (row.flags === undefined) {
      command.addHelpText('after', `\nEnvironment only: ${names}: ${row.help}`)
      continue
    }
    const preset = row.defaultText ?? (row.flags.includes('<') ? row.default : undefined)
    const notes = [preset && `default: ${preset}`, names && `env: ${names}`].filter(Boolean)
    const shown = notes.length > 0 ? `${row.help} (${notes.join('; ')})` : row.help
    command.addOption(new Option(row.flags, shown))
  }
}

/** Flag, then our variable, then the nats CLI's, then the default. An empty variable is unset. */
export function resolveOptions<Table extends OptionTable>(
  table: Table,
  given: Record<string, string | true | undefined>,
  env: Environment,
): ValuesOf<Table> {
  const values = Object.entries(table).map(([key, row]) => {
    const origins: (readonly [name: string | undefined, text: string | undefined])[] = [
      [longFlag(row), given[key] === true ? 'true' : given[key]],
      ...environmentNames(key, row).map((name) => [name, env[name] || undefined] as const),
      [longFlag(row), row.default],
    ]
    const [name, text] = origins.find(([, text]) => text !== undefined) ?? []
    return [key, text === undefined ? undefined : parseOption(row, name!, text)]
  })
  return Object.fromEntries(values)
}

function parseOption(row: OptionRow<unknown>, name: string, text: string): unknown {
  try {
    return row.parse(text)
  } catch (error) {
    // Only options with a flag are shown with their value: the others are secrets. So may be what
    // stands before the @ in a URL.
    const shown = row.flags ? ` ${JSON.stringify(text.replace(/.*@/s, '***@'))}` : ''
    throw new UsageError(`${name}${printable(shown)}: ${messageOf(error)}`)
  }
}
