// What the file of playbooks may hold, but for the steps' own parameters: those each step knows itself.

import { z } from 'zod'
import { PRIORITIES, priorityIndex } from '../../shared/alert/alert.ts'
import { messageOf } from '../../shared/errors.ts'
import { duration } from '../../shared/options/parsers.ts'
import { DNS_LABEL } from '../kubernetes/names.ts'
import type { Match } from './playbook.ts'
import { subjectPattern } from './subject-patterns.ts'

/** Text or numbers for what `parse` understands; it throws an Error with what is allowed. */
const parsed = <T>(parse: (text: string) => T, allowed: string) =>
  z.union([z.string(), z.number()], `allowed: ${allowed}`).transform(trying(parse))

/** What `parse` throws is what is wrong with the value. */
const trying =
  <T>(parse: (text: string) => T) =>
  (given: string | number, context: z.RefinementCtx): T => {
    try {
      return parse(String(given))
    } catch (error) {
      context.addIssue({ code: 'custom', message: messageOf(error) })
      return z.NEVER
    }
  }

function wholeNumber(min: number, max: number) {
  const allowed = `allowed: a whole number from ${min} to ${max}`
  return z.int(allowed).min(min, allowed).max(max, allowed)
}

const listOf = <T>(one: z.ZodType<T>, allowed: string) =>
  z.union([one.transform((value) => [value]), z.array(one).min(1)], `allowed: ${allowed}`)

const texts = listOf(z.string().min(1), 'text, or a list of texts')

const values = listOf(
  z.union([z.string(), z.number(), z.boolean()]).transform(String),
  'a value, or a list of values',
)

const FIELD_MATCH =
  'allowed: a value, a list of values, or a map with in and not, each with one of these'

const fieldMatch = z.union(
  [
    values.transform((list) => ({ in: list })),
    z
      .strictObject({ in: values.optional(), not: values.optional() })
      .refine((match) => match.in !== undefined || match.not !== undefined, FIELD_MATCH),
  ],
  FIELD_MATCH,
)

const matchSchema = z
  .strictObject({
    source: texts.optional(),
    rule: texts.optional(),
    priority: parsed((text) => {
      const index = priorityIndex(text)
      if (index === undefined) throw new Error(`allowed: ${PRIORITIES.join(', ')} (or info)`)
      return index
    }, PRIORITIES.join(', ')).optional(),
    tags: texts.optional(),
    output_fields: z.record(z.string(), fieldMatch).optional(),
  })
  .transform(
    ({ priority, output_fields: outputFields, ...same }): Match => ({
      ...same,
      ...(priority !== undefined && { minPriority: priority }),
      ...(outputFields && { outputFields }),
    }),
  )

/** One is made a list first, so that an error names the element of a list. */
const subjects = z.preprocess(
  (given) => (typeof given === 'string' ? [given] : given),
  z
    .array(z.string().transform(trying(subjectPattern)))
    .min(1, 'allowed: at least one subject')
    .transform((list) => [...new Set(list)]),
)

/** Of every step, beside its name. */
export const stepSchema = z
  .strictObject({
    timeout: parsed((text) => {
      const milliseconds = duration('1h')(text)
      if (milliseconds === 0) throw new Error('allowed: a duration of more than 0, up to 1h')
      return milliseconds
    }, 'a duration such as 30s').default(30_000),
    continueOnError: z.boolean().default(false),
  })
  .transform(({ timeout: timeoutMs, continueOnError }) => ({ timeoutMs, continueOnError }))

const playbookSchema = z
  .strictObject({
    name: z
      .string()
      .regex(/^[a-z0-9-]{1,48}$/, 'allowed: 1 to 48 lower-case letters, digits and dashes'),
    on: subjects,
    match: matchSchema.default({}),
    steps: z.array(z.unknown()).min(1, 'allowed: at least one step'),
    concurrency: wholeNumber(1, 100).default(4),
    maxDeliver: wholeNumber(1, 1000).default(5),
    coolDown: parsed(duration('1d'), 'a duration such as 5m').default(0),
  })
  .transform(({ coolDown: coolDownMs, ...playbook }) => ({ ...playbook, coolDownMs }))

const namespace = z.string().regex(DNS_LABEL, 'allowed: the name of a namespace')

export const planSchema = z.strictObject({
  /** Nothing is done until the file asks for it. */
  dryRun: z.boolean().default(true),
  maxActionsPerMinute: wholeNumber(1, 100_000).default(60),
  protectedNamespaces: z.array(namespace).default(['kube-system', 'falco', 'nats']),
  playbooks: z.array(playbookSchema).min(1, 'allowed: at least one playbook'),
})
