// What a schema finds wrong, in the words of the rest of the program: what is given, what is allowed.

import type { z } from 'zod'
import type { Path, Place } from './yaml.ts'

export type Checked<T> =
  | { readonly ok: true; readonly value: T }
  | { readonly ok: false; readonly path: Path; readonly place: Place; readonly reason: string }

/** Checks a value. Of all that is wrong it gives one thing: a misspelt key rather than that the right one is missing. */
export function check<T>(schema: z.ZodType<T>, value: unknown): Checked<T> {
  const { data, error } = schema.safeParse(value, { error: reasonOf })
  if (!error) return { ok: true, value: data as T }
  const stray = error.issues.find((issue) => issue.code === 'unrecognized_keys')
  if (stray) {
    const path = [...stray.path, stray.keys[0]!]
    return { ok: false, path, place: 'key', reason: stray.message }
  }
  const { code, path, message } = error.issues[0]!
  return { ok: false, path, place: code === 'invalid_key' ? 'key' : 'value', reason: message }
}

/** Instead of the library's own texts, and only of those: others were written for the one place, and are better. */
function reasonOf(issue: z.core.$ZodRawIssue): string | undefined {
  const { input } = issue
  switch (issue.code) {
    case 'unrecognized_keys':
      return `unknown; allowed: ${Object.keys((issue.inst as z.ZodObject).shape).join(', ') || 'nothing'}`
    case 'invalid_key':
      return issue.issues[0]?.message
    case 'invalid_type':
      return `${given(input)}; allowed: ${NAMES[issue.expected] ?? issue.expected}`
    case 'invalid_value':
      return `${given(input)}; allowed: ${issue.values.map(String).join(', ')}`
    case 'too_small':
      return `${given(input)}; allowed: at least ${issue.minimum}${UNITS[issue.origin] ?? ''}`
    case 'too_big':
      return `${given(input)}; allowed: at most ${issue.maximum}${UNITS[issue.origin] ?? ''}`
    case 'invalid_union': {
      // Of the alternatives, the one that came furthest is the one that was meant.
      const inner = issue.errors.flat()
      const depth = Math.max(...inner.map(({ path }) => path.length))
      const deepest = inner.filter(({ path }) => path.length === depth)
      return [...new Set(deepest.map(({ message }) => message))].join(', or ') || undefined
    }
    default:
      return undefined
  }
}

const NAMES: Readonly<Record<string, string>> = {
  string: 'text',
  number: 'a number',
  int: 'a whole number',
  boolean: 'true or false',
  array: 'a list',
  object: 'a map',
  record: 'a map',
}

const UNITS: Readonly<Record<string, string>> = {
  string: ' characters',
  array: ' elements',
  record: ' entries',
}

/** Its kind; the value itself only where it cannot well be a secret in the wrong place. */
function given(value: unknown): string {
  if (value === undefined) return 'missing'
  if (value === null || typeof value === 'number' || typeof value === 'boolean')
    return `${value} is given`
  if (typeof value === 'string') return value === '' ? 'empty text is given' : 'text is given'
  return `${Array.isArray(value) ? 'a list' : 'a map'} is given`
}
