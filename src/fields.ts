// The fields of an alert that subjects and headers name, and a cache of what is made from them.

import type { Alert } from './alert.ts'

/** Each is a key of the alert. */
export const ALERT_FIELDS = ['priority', 'rule', 'source', 'hostname'] as const
export type AlertField = (typeof ALERT_FIELDS)[number]

const CACHE_KEY_LENGTH_MAX = 256

/** The field's text, or nothing: only `priority` and `rule` are sure to be text. */
export function textOf(alert: Alert, field: AlertField): string {
  const value = alert[field]
  return typeof value === 'string' ? value : ''
}

/**
 * `make`, cached by the alert's own strings, so that in a running system (the same few rules again
 * and again) nothing is built. It must depend on nothing but `fields`. The cache is bounded: it
 * is emptied when it is full, and what is very long is not kept.
 */
export function cachedByFields<T>(
  fields: readonly AlertField[],
  entriesMax: number,
  make: (alert: Alert) => T,
): (alert: Alert) => T {
  type Level = Map<string, Level | T>
  const deepest = fields.length - 1
  let root: Level = new Map()
  let entries = 0

  function remember(alert: Alert): T {
    const made = make(alert)
    if (fields.some((field) => textOf(alert, field).length > CACHE_KEY_LENGTH_MAX)) return made
    if (entries++ >= entriesMax) {
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
    level.set(textOf(alert, fields[deepest]!), made)
    return made
  }

  if (deepest < 0) {
    const made = make({ priority: '', rule: '' })
    return () => made
  }
  return (alert) => {
    let level: Level | T | undefined = root
    for (let depth = 0; depth <= deepest && level !== undefined; depth++)
      level = (level as Level).get(textOf(alert, fields[depth]!))
    return (level as T | undefined) ?? remember(alert)
  }
}
