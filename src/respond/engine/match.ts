// Whether a playbook is meant for an alert, and if not, why.

import { type Alert, outputField, PRIORITIES, priorityIndex } from '../../shared/alert/alert.ts'
import { printable } from '../../shared/errors.ts'
import type { FieldMatch, Playbook } from '../playbook/playbook.ts'
import { covers, isOwn } from '../playbook/subject-patterns.ts'

/** True, or why not: a line for people. */
export function matches(playbook: Playbook, subject: string, alert: Alert): true | string {
  const { match } = playbook
  if (isOwn(subject)) return `the subject ${shown(subject)} is of our own answers`
  if (!playbook.on.some((pattern) => covers(pattern, subject)))
    return `the subject ${shown(subject)} matches none of ${playbook.on.join(', ')}`
  if (match.source && !match.source.some((source) => source === alert.source))
    return `source is ${shown(alert.source)}, not ${match.source.join(' or ')}`
  if (match.rule && !match.rule.includes(alert.rule))
    return `rule is ${shown(alert.rule)}, not ${listed(match.rule)}`
  const { minPriority } = match
  const priority = priorityIndex(alert.priority) ?? PRIORITIES.length
  if (minPriority !== undefined && priority > minPriority)
    return `priority is ${shown(alert.priority)}, not ${PRIORITIES[minPriority]} or more severe`
  if (match.tags && !textsOf(alert.tags).some((tag) => match.tags?.includes(tag)))
    return `tags are ${shown(alert.tags)}, none of ${listed(match.tags)}`
  for (const [name, wanted] of Object.entries(match.outputFields ?? {})) {
    const why = fieldFails(alert, name, wanted)
    if (why !== undefined) return why
  }
  return true
}

/** A list, as some fields are, is in a list if one of its elements is. */
function fieldFails(alert: Alert, name: string, wanted: FieldMatch): string | undefined {
  const value = outputField(alert, name)
  const texts = textsOf(value)
  const what = () => `output field ${printable(name)} is ${shown(value)}`
  if (wanted.in && !texts.some((text) => wanted.in?.includes(text)))
    return `${what()}, not ${listed(wanted.in)}`
  if (wanted.not && texts.some((text) => wanted.not?.includes(text)))
    return `${what()}, which is excluded`
  return undefined
}

const listed = (texts: readonly string[]) => texts.map(shown).join(' or ')

const SHOWN_MAX = 100

/** A value from an alert, fit for a line. */
function shown(value: unknown): string {
  if (value === undefined || value === null) return 'missing'
  // Cut before as well: escaping a megabyte takes a fifth of a second.
  const text = printable((JSON.stringify(value) ?? typeof value).slice(0, SHOWN_MAX + 1))
  return text.length > SHOWN_MAX ? `${text.slice(0, SHOWN_MAX)}...` : text
}

/** Of text, numbers and truth values their text; of a list those of its elements; of anything else none. */
function textsOf(value: unknown): string[] {
  if (Array.isArray(value))
    return value.filter((element) => !Array.isArray(element)).flatMap(textsOf)
  if (typeof value === 'string') return [value]
  return typeof value === 'number' || typeof value === 'boolean' ? [String(value)] : []
}
