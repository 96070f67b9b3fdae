// What the file of playbooks may hold, and what it gives: checked, with defaults. Each step checks its own parameters.

import { z } from 'zod'
import { PRIORITIES, priorityIndex } from '../../shared/alert/alert.ts'
import { duration } from '../../shared/options/parsers.ts'
import { DNS_LABEL } from '../kubernetes/names.ts'
import { type Step, trying } from '../steps/step.ts'
import { subjectPattern } from './subject-patterns.ts'

type Frozen<T> = { readonly [Key in keyof T]: Frozen<T[Key]> }

export type FieldMatch = Frozen<z.infer<typeof fieldMatch>>
export type Match = Frozen<z.infer<typeof matchSchema>>

export interface PlannedStep extends Frozen<z.infer<typeof stepSchema>> {
  readonly step: Step
  readonly params: unknown
}

export interface Playbook extends Frozen<Omit<z.infer<typeof playbookSchema>, 'steps'>> {
  readonly steps: readonly PlannedStep[]
}

/** The whole file. */
export interface Plan extends Frozen<Omit<z.infer<typeof planSchema>, 'playbooks'>> {
  readonly playbooks: readonly Playbook[]
}

/** Text or a number that `parse` understands. */
const parsed = <T>(parse: (text: string) => T, allowed: string) =>
  z.union([z.string(), z.number()], `allowed: ${allowed}`).transform(trying(parse))

function wholeNumber(min: number, max: number) {
  const allowed = `allowed: a whole number from ${min} to ${max}`
  return z.int(allowed).min(min, allowed).max(max, allowed)
}

const listOf = <T>(one: z.ZodType<T>, allowed: string) =>
  z.union([one.transform((value) => [value]), z.array(one).min(1)], `allowed: ${allowed}`)

const texts = listOf(z.string().min(1), 'text, or a list of texts').optional()

const values = listOf(
  z.union([z.string(), z.number(), z.boolean()]).transform(String),
  'a value, or a list of values',
)

const FIELD_MATCH =
  'allowed: a value, a list of values, or a map with in and not, each with one of these'

/** A field that is null or missing is in no list, and passes `not`. */
const fieldMatch = z.union(
  [
    values.transform((list) => ({ in: list, not: undefined })),
    z
      .strictObject({ in: values.optional(), not: values.optional() })
      .refine((match) => match.in !== undefined || match.not !== undefined, FIELD_MATCH),
  ],
  FIELD_MATCH,
)

/** What an alert must have. All that are given must hold; of a list, any. */
const matchSchema = z
  .strictObject({
    source: texts,
    rule: texts,
    priority: parsed((text) => {
      const index = priorityIndex(text)
      if (index === undefined) throw new Error(`allowed: ${PRIORITIES.join(', ')} (or info)`)
      return index
    }, PRIORITIES.join(', ')).optional(),
    tags: texts,
    output_fields: z.record(z.string(), fieldMatch).optional(),
  })
  .transform(({ priority, output_fields: outputFields, ...same }) => ({
    ...same,
    /** The least severe that passes, as an index into PRIORITIES. */
    ...(priority !== undefined && { minPriority: priority }),
    ...(outputFields && { outputFields }),
  }))

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
    /** Alerts at a time. */
    concurrency: wholeNumber(1, 100).default(4),
    maxDeliver: wholeNumber(1, 1000).default(5),
    /** How long the same target is left alone after this playbook has acted on it. 0: not at all. */
    coolDown: parsed(duration('1d'), 'a duration such as 5m').default(0),
  })
  .transform(({ coolDown: coolDownMs, ...playbook }) => ({ ...playbook, coolDownMs }))

export const planSchema = z.strictObject({
  /** Nothing is done until the file asks for it. */
  dryRun: z.boolean().default(true),
  /** Of all playbooks and replicas together; more wait. */
  maxActionsPerMinute: wholeNumber(1, 100_000).default(60),
  protectedNamespaces: z
    .array(z.string().regex(DNS_LABEL, 'allowed: the name of a namespace'))
    .default(['kube-system', 'falco', 'nats']),
  playbooks: z.array(playbookSchema).min(1, 'allowed: at least one playbook'),
})
