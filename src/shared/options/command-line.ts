// What the command lines of both halves share: options from a table, values from flags and the environment.

import { Command, CommanderError, Option } from 'commander'
import { messageOf, printable, UsageError } from '../errors.ts'
import {
  environmentNames,
  longFlag,
  type OptionRow,
  type OptionTable,
  type ValuesOf,
} from './table.ts'

export type Environment = Readonly<Record<string, string | undefined>>

/** A command that neither prints nor exits by itself. */
export function createProgram(name: string, description: string, table: OptionTable): Command {
  const program = new Command(name)
    .description(description)
    .helpOption('--help')
    .helpCommand(false)
    .allowExcessArguments(false)
    .exitOverride()
  addOptions(program, table)
  return program
}

/** Runs its action. Gives what --help or --version prints, instead. Throws a UsageError. */
export function runProgram(program: Command, argv: readonly string[]): string | undefined {
  let printed = ''
  program.configureOutput({ writeOut: (text) => (printed += text), writeErr: () => {} })
  try {
    program.parse(argv, { from: 'user' })
    return undefined
  } catch (error) {
    if (!(error instanceof CommanderError)) throw error
    if (error.exitCode === 0) return printed
    // The value behind a = may be a secret.
    const reason = error.message
      .replace(/^error: /, '')
      .replace(/=[^']*/g, '=...')
      .replace(/\s+/g, ' ')
    throw new UsageError(`${printable(reason)}; ${program.name()} --help lists what is allowed`)
  }
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
    // Values of options without a flag are secrets, and so may be what stands before the @ of a URL.
    const shown = row.flags ? ` ${JSON.stringify(text.replace(/.*@/s, '***@'))}` : ''
    throw new UsageError(`${name}${printable(shown)}: ${messageOf(error)}`)
  }
}
