// The fields of an alert that subjects and headers name.

import type { Alert } from './alert.ts'

/** Each is a key of the alert. */
export const ALERT_FIELDS = ['priority', 'rule', 'source', 'hostname'] as const
export type AlertField = (typeof ALERT_FIELDS)[number]

/** The field's text, or nothing: only `priority` and `rule` are sure to be text. */
export function textOf(alert: Alert, field: AlertField): string {
  const value = alert[field]
  return typeof value === 'string' ? value : ''
}
