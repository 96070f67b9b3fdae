// A mutation: a text of our own source in the place of another, with which the simulator must find a violation.

import { readFileSync } from 'node:fs'
import type { RunnerOptions } from './runner.ts'

export interface Mutation {
  readonly name: string
  /** What goes wrong. */
  readonly why: string
  /** In src. */
  readonly file: string
  /** Stands in the file exactly once. */
  readonly find: string
  readonly replace: string
}

/** Several lines of a source. */
export const text = (...lines: readonly string[]): string => lines.join('\n')

const SRC = new URL('../../src/', import.meta.url)

/** For a thread that runs the mutated source. Throws when the text is not found once. */
export function mutated({ name, file, find, replace }: Mutation): RunnerOptions {
  const { href: url } = new URL(file, SRC)
  const parts = readFileSync(new URL(url), 'utf8').split(find)
  if (parts.length !== 2)
    throw new Error(`mutation ${name}: src/${file} has its text ${parts.length - 1} times`)
  return { mutated: { url, text: parts.join(replace) } }
}
