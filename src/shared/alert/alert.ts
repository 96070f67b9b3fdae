// What of a Falco alert we rely on, and how to parse one.

/** Falco's priorities, most severe first, in lower case (Falco itself writes `Warning`). */
export const PRIORITIES = [
  'emergency',
  'alert',
  'critical',
  'error',
  'warning',
  'notice',
  'informational',
  'debug',
] as const

const INDEXES = new Map<string, number>(PRIORITIES.map((name, index) => [name, index]))
INDEXES.set('info', PRIORITIES.indexOf('informational'))
const PRIORITY_LENGTH_MAX = 'informational'.length

/** Index into PRIORITIES, whatever the case; `info` is informational. Undefined: not one of them. */
export function priorityIndex(priority: string): number | undefined {
  return priority.length > PRIORITY_LENGTH_MAX ? undefined : INDEXES.get(priority.toLowerCase())
}

/** A parsed alert: `priority` and `rule` are never empty; the other keys may be anything. */
export interface Alert {
  readonly priority: string
  readonly rule: string
  readonly source?: unknown
  readonly hostname?: unknown
  readonly time?: unknown
  readonly tags?: unknown
  readonly output_fields?: unknown
}

/** What subjects and headers can name: keys of the alert. */
export const ALERT_FIELDS = ['priority', 'rule', 'source', 'hostname'] as const
export type AlertField = (typeof ALERT_FIELDS)[number]

/** The field's text, or nothing: only `priority` and `rule` are sure to be text. */
export function textOf(alert: Alert, field: AlertField): string {
  const value = alert[field]
  return typeof value === 'string' ? value : ''
}

/** One of the alert's `output_fields`, which may be anything, and so may they. */
export function outputField({ output_fields: fields }: Alert, name: string): unknown {
  const known = typeof fields === 'object' && fields !== null && Object.hasOwn(fields, name)
  return known ? (fields as Readonly<Record<string, unknown>>)[name] : undefined
}

/** Why a line is not an alert. */
export type LineReject = 'invalid_json' | 'not_an_alert'

/** Parses `bytes[start, end)`. Bytes that are not UTF-8 do not matter: the line itself is published. */
export function parseAlert(bytes: Buffer, start: number, end: number): Alert | LineReject {
  let value: Partial<Alert> | null
  try {
    value = JSON.parse(bytes.toString('utf8', start, end))
  } catch {
    return 'invalid_json'
  }
  return isAlert(value) ? value : 'not_an_alert'
}

export const isAlert = (value: Partial<Alert> | null): value is Alert =>
  isText(value?.priority) && isText(value?.rule)

const isText = (value: unknown) => typeof value === 'string' && value !== ''
