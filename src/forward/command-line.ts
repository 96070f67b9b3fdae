// The grammar of the command line: arguments and environment in, a Command out. Pure.

import pkg from '../../package.json' with { type: 'json' }
import { UsageError } from '../shared/errors.ts'
import { checkCredentialOptions } from '../shared/nats/credentials.ts'
import {
  addOptions,
  createProgram,
  type Environment,
  resolveOptions,
  runProgram,
} from '../shared/options/command-line.ts'
import type { ValuesOf } from '../shared/options/table.ts'
import { checkStreamOptions } from './delivery/jetstream/stream-settings.ts'
import { type Config, OPTIONS, SAMPLE_OPTIONS } from './options.ts'

export type Invocation =
  | { readonly run: 'forward' | 'check'; readonly config: Config }
  | { readonly run: 'sample'; readonly config: ValuesOf<typeof SAMPLE_OPTIONS> }
  /** --help and --version. */
  | { readonly run: 'print'; readonly text: string }

/** `argv`: without node and script. Throws a UsageError. */
export function parseCommandLine(argv: readonly string[], env: Environment): Invocation {
  let invocation: Invocation | undefined
  const program = createProgram(
    'falco-nats',
    "Forwards Falco's alerts from a named pipe or standard input to NATS. The command respond acts on them.",
    OPTIONS,
  )
    .version(pkg.version, '--version')
    .action((given) => {
      const config = resolveOptions(OPTIONS, given, env)
      checkCredentialOptions(config)
      checkStreamOptions(config)
      checkAdoptOption(config)
      invocation = { run: config.check ? 'check' : 'forward', config }
    })
  const sample = program
    .command('sample')
    .description('Writes realistic Falco alerts to standard output, to try a pipe without Falco.')
    .action((given) => {
      invocation = { run: 'sample', config: resolveOptions(SAMPLE_OPTIONS, given, env) }
    })
  addOptions(sample, SAMPLE_OPTIONS)
  const text = runProgram(program, argv)
  return text === undefined ? invocation! : { run: 'print', text }
}

/** A dry run would take the file, and deliver none of it. */
function checkAdoptOption({ adoptFile, dryRun, pipe }: Config): void {
  if (!adoptFile) return
  if (dryRun) throw new UsageError('--adopt-file and --dry-run are given; allowed: one of them')
  if (pipe === '-')
    throw new UsageError('--adopt-file is given with --pipe -; allowed: only with a named pipe')
}
