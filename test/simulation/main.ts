// `npm run simulate`: runs seeds; searches seeds for mutations; plays what was kept.

import { FatalError } from '../../src/shared/errors.ts'
import { type Arguments, argumentsOf, USAGE } from './arguments.ts'
import { explain, explanation, runSeeds } from './campaign.ts'
import { type Scenario, scenarioOf } from './entry.ts'
import { keep, MUTATIONS, REGRESSIONS, readKept } from './kept.ts'
import { mutated } from './mutate.ts'
import { MUTATION_TABLE } from './mutations.ts'
import { coverageLines, scenarioLines, summaryOf } from './report.ts'
import { createRunner, type Found, type RunnerOptions } from './runner.ts'
import { inLanes, search } from './search.ts'

const print = (...lines: readonly string[]) => console.log(lines.join('\n'))
/** Overwrites itself on a terminal. */
const progress = (text: string) => process.stderr.isTTY && process.stderr.write(`\r\x1b[K${text}`)

function mutationsNamed(name: string | undefined) {
  const named = MUTATION_TABLE.filter((mutation) => name === undefined || mutation.name === name)
  if (named.length === 0)
    throw new FatalError(`no mutation ${name}; see test/simulation/mutations.ts`)
  return named
}

async function runMany(options: Arguments, source: RunnerOptions): Promise<boolean> {
  const { from, count, workers, all: goesOn } = options
  const onProgress = (seeds: number, violations: number) =>
    progress(`${seeds} of ${count} seeds, ${violations} violations`)
  const run = { ...source, from, count, workers, goesOn, onProgress }
  const { seeds, ms, coverage, found } = await runSeeds(run)
  progress('')
  if (count > 1) print(...coverageLines(coverage, seeds), '')
  const [first, ...others] = found
  if (first) await showFound(options, source, first)
  for (const { seed, violation } of others) print(`seed ${seed}: ${violation.invariant}`)
  if (!first && options.trace) await showTrace(scenarioOf(from), source)
  print(summaryOf(seeds, from, ms, found.length))
  return !first
}

async function showFound(
  { save, trace, mutation }: Arguments,
  source: RunnerOptions,
  found: Found,
) {
  await using runner = createRunner(source)
  const { seed } = found
  const explained = await explain(scenarioOf(seed), found, runner)
  const again = mutation === undefined ? '' : ` --mutation "${mutation}"`
  print(...explanation(explained, trace), `again: npm run simulate -- --seed ${seed}${again}`, '')
  if (save === undefined) return
  const { scenario, violation } = explained
  keep(REGRESSIONS, { name: save, seed, invariant: violation.invariant, scenario })
  print(`kept as "${save}" in test/simulation/regressions.jsonl`)
}

/** Whether it violates nothing. */
async function showTrace(scenario: Scenario, source: RunnerOptions): Promise<boolean> {
  await using runner = createRunner(source)
  const { violation, trace } = await runner.play(scenario, true)
  print(...scenarioLines(scenario), ...trace)
  if (violation)
    print(`violates "${violation.invariant}" at ${violation.at} ms: ${violation.detail}`)
  return !violation
}

function playKept(name: string, source: RunnerOptions): Promise<boolean> {
  const kept = [...readKept(REGRESSIONS), ...readKept(MUTATIONS)].find((row) => row.name === name)
  if (!kept) throw new FatalError(`nothing is kept as "${name}"`)
  return showTrace(kept.scenario, source)
}

async function searchMutations({ workers, count, write, mutation }: Arguments): Promise<boolean> {
  let missing = 0
  await inLanes(mutationsNamed(mutation), workers, async (mutation) => {
    const kept = await search(mutation, count)
    const place = kept ? `seed ${kept.seed}: ${kept.invariant}` : `not in ${count} seeds`
    print(`${mutation.name.padEnd(32)}${place}`)
    if (!kept) missing++
    else if (write) keep(MUTATIONS, kept)
  })
  return missing === 0
}

async function main(): Promise<number> {
  try {
    const options = argumentsOf(process.argv.slice(2))
    if (options.help) {
      print(USAGE)
      return 0
    }
    if (options.mutations) return (await searchMutations(options)) ? 0 : 1
    const source = options.mutation ? mutated(mutationsNamed(options.mutation)[0]!) : {}
    if (options.play !== undefined) return (await playKept(options.play, source)) ? 0 : 1
    return (await runMany(options, source)) ? 0 : 1
  } catch (error) {
    if (!(error instanceof FatalError)) throw error
    console.error(error.message)
    return 2
  }
}

process.exitCode = await main()
