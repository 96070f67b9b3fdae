// What a schema finds wrong, said as the rest of the program says it: what is given, what is allowed.

import { z } from 'zod'
import type { Path, Place } from './yaml.ts'

type Issue = z.core.$ZodIssue

export type Checked<T> =
  | { readonly ok: true; readonly value: T }
  | { readonly ok: false; readonly path: Path; readonly place: Place; readonly reason: string }

/** Checks a value, and of what is wrong says one thing: a misspelt key rather than that the right one is missing. */
export function check<T>(schema: z.ZodType<T>, value: unknown): Checked<T> {
  const { data, error } = schema.safeParse(value, { reportInput: true })
  if (!error) return { ok: true, value: data as T }
  const { issues } = error
  const issue = issues.find(({ code }) => code === 'unrecognized_keys') ?? issues[0]!
  if (issue.code !== 'unrecognized_keys')
    return {
      ok: false,
      path: issue.path,
      place: issue.code === 'invalid_key' ? 'key' : 'value',
      reason: reasonOf(issue),
    }
  const allowed = keysAt(schema, issue.path)
  return {
    ok: false,
    path: [...issue.path, issue.keys[0]!],
    place: 'key',
    reason: `unknown; allowed: ${allowed.join(', ') || 'nothing'}`,
  }
}

/** The library's own texts; others were written for the one place, and are better. */
const STOCK = /^(Invalid|Too small|Too big|Unrecognized)/

function reasonOf(issue: Issue): string {
  if (issue.code === 'invalid_key' && issue.issues[0]) return reasonOf(issue.issues[0])
  if (!STOCK.test(issue.message)) return issue.message
  switch (issue.code) {
    case 'invalid_type':
      return `${given(issue.input)}; allowed: ${NAMES[issue.expected] ?? issue.expected}`
    case 'invalid_value':
      return `${given(issue.input)}; allowed: ${issue.values.map(String).join(', ')}`
    case 'too_small':
      return `${given(issue.input)}; allowed: at least ${issue.minimum}${UNITS[issue.origin] ?? ''}`
    case 'too_big':
      return `${given(issue.input)}; allowed: at most ${issue.maximum}${UNITS[issue.origin] ?? ''}`
    case 'invalid_union': {
      // Of the alternatives, the one that came furthest is the one that was meant.
      const inner = issue.errors.flat().sort((a, b) => b.path.length - a.path.length)
      const deepest = inner.filter(({ path }) => path.length === inner[0]?.path.length)
      return [...new Set(deepest.map(reasonOf))].join(', or ') || issue.message
    }
    default:
      return issue.message
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

interface JsonSchema {
  readonly properties?: Readonly<Record<string, JsonSchema>>
  readonly additionalProperties?: JsonSchema | boolean
  readonly items?: JsonSchema
  readonly anyOf?: readonly JsonSchema[]
}

/** The keys that the map at `path` may have. */
function keysAt(schema: z.ZodType, path: Path): string[] {
  let at = [z.toJSONSchema(schema, { io: 'input', unrepresentable: 'any' }) as JsonSchema]
  const flat = (schemas: readonly JsonSchema[]): JsonSchema[] =>
    schemas.flatMap((one) => (one.anyOf ? flat(one.anyOf) : [one]))
  for (const segment of path)
    at = flat(at).flatMap(({ properties, additionalProperties: rest, items }) => {
      const next = typeof segment === 'number' ? items : (properties?.[String(segment)] ?? rest)
      return typeof next === 'object' ? [next] : []
    })
  return [...new Set(flat(at).flatMap(({ properties }) => Object.keys(properties ?? {})))]
}
