// The NATS subject of an alert: a template such as `falco.<priority>.<rule>`, filled with legal tokens.

import { hash } from 'node:crypto'
import slugify from 'slugify'
import { ALERT_FIELDS, type Alert, type AlertField, textOf } from './alert.ts'

/** A template taken apart: `literals[0] fields[0] literals[1] fields[1] … literals[n]`. */
export interface SubjectTemplate {
  readonly text: string
  readonly literals: readonly string[]
  readonly fields: readonly AlertField[]
}

const TOKEN_LENGTH_MAX = 128
/** Of a longer name only the hash is of the whole: `normalize` takes 19 s for 100,000 combining marks in a row. */
const HEAD_LENGTH_MAX = 4 * TOKEN_LENGTH_MAX
/** NATS recommends subjects below 256 characters; its protocol line breaks at 4096. */
const SUBJECT_LENGTH_MAX = 1024

/** Throws an Error with what is wrong and what is allowed. */
export function parseTemplate(text: string): SubjectTemplate {
  const parts = text.split(/<([^<>]*)>/)
  const literals = parts.filter((_, index) => index % 2 === 0)
  const names = parts.filter((_, index) => index % 2 === 1)
  const allowed = ALERT_FIELDS.map((field) => `<${field}>`).join(' ')
  for (const name of names)
    if (!(ALERT_FIELDS as readonly string[]).includes(name))
      throw new Error(`unknown token <${name}>; the tokens are ${allowed}`)
  for (const literal of literals)
    if (/[^!-~]|[*<>"\\]/.test(literal))
      throw new Error('blanks, wildcards, quotes and what is not printable ASCII are not allowed')
  if (text.split('.').includes('')) throw new Error('a token between two dots must not be empty')
  if (text.startsWith('$')) throw new Error('subjects that begin with $ belong to the NATS server')
  if (literals.join('').length + names.length * TOKEN_LENGTH_MAX > SUBJECT_LENGTH_MAX)
    throw new Error(`it could grow over ${SUBJECT_LENGTH_MAX} characters`)
  return { text, literals, fields: names as AlertField[] }
}

export function subjectOf({ literals, fields }: SubjectTemplate, alert: Alert): string {
  const tokens = fields.map(
    (field, index) => subjectToken(field, textOf(alert, field)) + literals[index + 1],
  )
  return literals[0] + tokens.join('')
}

/** The subject of a stream for all alerts, such as `falco.>`; undefined where the first token depends on the alert. */
export function streamSubject({ text }: SubjectTemplate): string | undefined {
  const tokens = text.split('.')
  const varying = tokens.findIndex((token) => token.includes('<'))
  if (varying === 0) return undefined
  return varying < 0 ? text : [...tokens.slice(0, varying), '>'].join('.')
}

/**
 * 1 to 128 characters of `[a-z0-9_]`, for ASCII the same as in the Go falco-nats and falcosidekick. Other scripts are
 * transliterated. A token that would be empty or too long ends in 8 hex digits of a hash of the whole.
 */
export function subjectToken(field: AlertField, value: string): string {
  if (value === '') return 'unknown'
  const head = value.slice(0, HEAD_LENGTH_MAX)
  const slug = asciiSlug(isAscii(head) ? head : transliterate(head))
  if (slug === '') return `${field}_${shortHash(value)}`
  if (slug.length <= TOKEN_LENGTH_MAX && head.length === value.length) return slug
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
