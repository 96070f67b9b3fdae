// The NATS subject of an alert: a template such as `falco.<priority>.<rule>` filled with tokens
// that are always legal, whatever the alert says.

import { hash } from 'node:crypto'
import slugify from 'slugify'
import type { Alert } from './alert.ts'

/** What a template may name, each a key of the alert. */
export const SUBJECT_FIELDS = ['priority', 'rule', 'source', 'hostname'] as const
export type SubjectField = (typeof SUBJECT_FIELDS)[number]

/** A template taken apart: `literals[0] fields[0] literals[1] fields[1] … literals[n]`. */
export interface SubjectTemplate {
  readonly text: string
  readonly literals: readonly string[]
  readonly fields: readonly SubjectField[]
}

const TOKEN_LENGTH_MAX = 128
/** NATS recommends subjects below 256 characters; its protocol line breaks at 4096. */
const SUBJECT_LENGTH_MAX = 1024
const CACHE_ENTRIES_MAX = 16_384
const CACHE_KEY_LENGTH_MAX = 256

/** Parses a template. Throws an Error that says what is wrong and what is allowed. */
export function parseTemplate(text: string): SubjectTemplate {
  const parts = text.split(/<([^<>]*)>/)
  const literals = parts.filter((_, index) => index % 2 === 0)
  const names = parts.filter((_, index) => index % 2 === 1)
  const allowed = SUBJECT_FIELDS.map((field) => `<${field}>`).join(' ')
  for (const name of names)
    if (!(SUBJECT_FIELDS as readonly string[]).includes(name))
      throw new Error(`unknown token <${name}>; the tokens are ${allowed}`)
  for (const literal of literals)
    if (/[^!-~]|[*<>"\\]/.test(literal))
      throw new Error('blanks, wildcards, quotes and what is not printable ASCII are not allowed')
  if (text.split('.').includes('')) throw new Error('a token between two dots must not be empty')
  if (text.startsWith('$')) throw new Error('subjects that begin with $ belong to the NATS server')
  if (literals.join('').length + names.length * TOKEN_LENGTH_MAX > SUBJECT_LENGTH_MAX)
    throw new Error(`it could grow over ${SUBJECT_LENGTH_MAX} characters`)
  return { text, literals, fields: names as SubjectField[] }
}

/**
 * A function from alert to subject. Subjects are cached by the alert's own strings, so that in a
 * running system (the same few rules again and again) nothing is built; the cache is bounded.
 */
export function createSubjects(template: SubjectTemplate): (alert: Alert) => string {
  type Level = Map<string, Level | string>
  const { fields } = template
  const deepest = fields.length - 1
  const whole = fields.length === 0 ? template.text : ''
  let root: Level = new Map()
  let entries = 0

  function remember(alert: Alert): string {
    const subject = render(template, alert)
    if (fields.some((field) => textOf(alert, field).length > CACHE_KEY_LENGTH_MAX)) return subject
    if (entries++ >= CACHE_ENTRIES_MAX) {
      root = new Map()
      entries = 1
    }
    let level = root
    for (const field of fields.slice(0, -1)) {
      const key = textOf(alert, field)
      const next = (level.get(key) ?? new Map()) as Level
      level.set(key, next)
      level = next
    }
    level.set(textOf(alert, fields[deepest]!), subject)
    return subject
  }

  return (alert) => {
    if (deepest < 0) return whole
    let level: Level | string | undefined = root
    for (let depth = 0; depth <= deepest && level !== undefined; depth++)
      level = (level as Level).get(textOf(alert, fields[depth]!))
    return (level as string | undefined) ?? remember(alert)
  }
}

function render({ literals, fields }: SubjectTemplate, alert: Alert): string {
  let subject = literals[0]!
  fields.forEach((field, index) => {
    subject += subjectToken(field, textOf(alert, field)) + literals[index + 1]
  })
  return subject
}

/** Only `priority` and `rule` are sure to be text. */
function textOf(alert: Alert, field: SubjectField): string {
  const value = alert[field]
  return typeof value === 'string' ? value : ''
}

/**
 * One legal token, 1 to 128 characters of `[a-z0-9_]`. ASCII text gives what the Go falco-nats
 * and falcosidekick give; other scripts are transliterated; where nothing is left, and at the end
 * of what is too long, stand 8 hex digits of a hash. Missing fields are `unknown`.
 */
export function subjectToken(field: SubjectField, value: string): string {
  if (value === '') return 'unknown'
  const slug = asciiSlug(isAscii(value) ? value : transliterate(value))
  if (slug === '') return `${field}_${shortHash(value)}`
  if (slug.length <= TOKEN_LENGTH_MAX) return slug
  return `${slug.slice(0, TOKEN_LENGTH_MAX - 9)}_${shortHash(value)}`
}

const asciiSlug = (text: string) =>
  text
    .toLowerCase()
    .replace(/[^a-z0-9]+/g, '_')
    .replace(/^_|_$/g, '')

const isAscii = (text: string) => !/[^\0-\x7f]/.test(text)

// Punctuation goes first: slugify would drop it (joining words) or spell it out (`&` → `and`).
const transliterate = (text: string) =>
  slugify(text.normalize('NFC').replace(/[^\p{L}\p{M}\p{N}]+/gu, ' '), { replacement: '_' })

const shortHash = (text: string) => hash('sha256', text).slice(0, 8)
