// What of a Falco alert we rely on, and how to find one in a line of text.

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

const SEVERITY = new Map(
  [...PRIORITIES.entries(), [6, 'info'] as const].flatMap(([index, name]) => [
    [name, index],
    [name[0]!.toUpperCase() + name.slice(1), index],
  ]),
)

const PRIORITY_LENGTH_MAX = Math.max(...PRIORITIES.map(({ length }) => length))

/** Index into PRIORITIES, whatever the case; `info` is informational. Undefined: not one of them. */
export function priorityIndex(priority: string): number | undefined {
  if (priority.length > PRIORITY_LENGTH_MAX) return undefined
  return SEVERITY.get(priority) ?? SEVERITY.get(priority.toLowerCase())
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
  const known = typeof fields === 'object' && fields !== null
  return known ? (fields as Readonly<Record<string, unknown>>)[name] : undefined
}

/** Why a line is not an alert. */
export type LineReject = 'invalid_json' | 'not_an_alert'

const QUOTE = 0x22
const BACKSLASH = 0x5c
const OPEN = 0x7b
const CLOSE = 0x7d

/**
 * Parses `bytes[start, end)`. Bytes that are not UTF-8 are no obstacle: what is published is the
 * line itself, not what was parsed.
 */
export function parseAlert(bytes: Buffer, start: number, end: number): Alert | LineReject {
  let value: Partial<Alert> | null
  try {
    value = JSON.parse(bytes.toString('utf8', start, end))
  } catch {
    return 'invalid_json'
  }
  if (typeof value !== 'object' || value === null) return 'not_an_alert'
  return isAlert(value) ? value : 'not_an_alert'
}

export const isAlert = (value: Partial<Alert>): value is Alert =>
  isText(value.priority) && isText(value.rule)

const isText = (value: unknown) => typeof value === 'string' && value !== ''

/** A stretch of a glued line: an alert, or what was found in its place. */
export interface Piece {
  start: number
  readonly end: number
  readonly found: Alert | LineReject
}

/**
 * Takes apart a line that is not JSON as a whole because a writer died before its newline:
 * `{"hostname":"a","outp{"hostname":"a",…}`. Gives its pieces in order, or undefined when there
 * is no alert among them. Works from the end, where JSON is known to be intact: each step finds
 * the object that the last `}` closes, so every byte is looked at a bounded number of times.
 */
export function unglue(bytes: Buffer, start: number, end: number): Piece[] | undefined {
  const pieces: Piece[] = []
  let foundAlert = false
  let rest = trimEnd(bytes, start, end)
  while (rest > start) {
    const open = lastObjectStart(bytes, start, rest)
    const found = open < 0 ? 'invalid_json' : parseObject(bytes, open, rest)
    if (found === 'invalid_json') break
    const behind = pieces.at(-1)
    if (typeof found !== 'string') foundAlert = true
    // What is no alert is told of once, however many objects it is.
    if (behind?.found === 'not_an_alert' && found === 'not_an_alert') behind.start = open
    else pieces.push({ start: open, end: rest, found })
    rest = trimEnd(bytes, start, open)
  }
  if (!foundAlert) return undefined
  if (rest > start) pieces.push({ start, end: rest, found: 'invalid_json' })
  return pieces.reverse()
}

/** A text full of `{}` is full of objects: they are not parsed one by one. */
const parseObject = (bytes: Buffer, start: number, end: number) =>
  trimEnd(bytes, start + 1, end - 1) === start + 1 ? 'not_an_alert' : parseAlert(bytes, start, end)

/** Index of the `{` that the `}` at the very end closes, reading backwards; -1 if there is none. */
function lastObjectStart(bytes: Buffer, start: number, end: number): number {
  if (bytes[end - 1] !== CLOSE) return -1
  let depth = 0
  let inString = false
  for (let at = end - 1; at >= start; at--) {
    const byte = bytes[at]
    if (byte === QUOTE) {
      let slashes = 0
      while (at - slashes > start && bytes[at - slashes - 1] === BACKSLASH) slashes++
      if (slashes % 2 === 0) inString = !inString
      at -= slashes
    } else if (inString) {
    } else if (byte === CLOSE) {
      depth++
    } else if (byte === OPEN && --depth === 0) {
      return at
    }
  }
  return -1
}

/** The end of the range without the blanks, tabs and carriage returns before it. */
export function trimEnd(bytes: Buffer, start: number, end: number): number {
  let at = end
  while (at > start && (bytes[at - 1] === 0x20 || bytes[at - 1] === 0x09 || bytes[at - 1] === 0x0d))
    at--
  return at
}
