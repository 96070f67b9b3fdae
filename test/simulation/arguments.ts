// The options of `npm run simulate`.

import { availableParallelism } from 'node:os'
import { parseArgs } from 'node:util'
import { FatalError, messageOf } from '../../src/shared/errors.ts'

const SEEDS = 5_000
/** A mutation that so many seeds do not find is not found. */
const SEEDS_FOR_MUTATION = 20_000

export const USAGE =
  'npm run simulate -- [--seeds N] [--from S] [--seed S] [--trace] [--all] [--workers W] [--save NAME] [--play NAME] ' +
  '[--mutation NAME] [--mutations [--write]]'

export type Arguments = ReturnType<typeof argumentsOf>

/** Throws a FatalError, one line, about an option that is none, or has no such value. */
export function argumentsOf(argv: readonly string[]) {
  const values = parse(argv)
  const whole = (name: 'seeds' | 'from' | 'seed' | 'workers', min: number) => {
    const text = values[name]
    if (text === undefined) return undefined
    const number = Number(text)
    if (/^\d+$/.test(text) && number >= min && number <= 2 ** 31) return number
    throw new FatalError(`--${name} must be a whole number from ${min}, not ${text}`)
  }
  if (values.write && !values.mutations) throw new FatalError('--write is for --mutations')
  const seed = whole('seed', 0)
  return {
    ...values,
    from: seed ?? whole('from', 0)!,
    count:
      seed === undefined
        ? (whole('seeds', 1) ?? (values.mutations ? SEEDS_FOR_MUTATION : SEEDS))
        : 1,
    workers: seed === undefined ? whole('workers', 1)! : 1,
  }
}

function parse(argv: readonly string[]) {
  const options = {
    /** How many; for each mutation, how many at most. */
    seeds: { type: 'string' },
    from: { type: 'string', default: '1' },
    /** One seed. */
    seed: { type: 'string' },
    /** The whole trace in place of a screen, and the trace of a seed that violates nothing. */
    trace: { type: 'boolean', default: false },
    /** Goes on after a violation. */
    all: { type: 'boolean', default: false },
    workers: { type: 'string', default: String(availableParallelism()) },
    /** Keeps the shrunk scenario as a test. */
    save: { type: 'string' },
    /** Runs a scenario that was kept. */
    play: { type: 'string' },
    /** Runs the source with this mutation. */
    mutation: { type: 'string' },
    /** Searches a seed for each mutation, or for the one that is named … */
    mutations: { type: 'boolean', default: false },
    /** … and keeps them. */
    write: { type: 'boolean', default: false },
    help: { type: 'boolean', default: false },
  } as const
  try {
    return parseArgs({ args: [...argv], options }).values
  } catch (error) {
    throw new FatalError(messageOf(error))
  }
}
