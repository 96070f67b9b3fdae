// The errors that are not bugs, and how to show any error.

/** An option that cannot be used: which one, what was given, what is allowed. Exit code 2. */
export class UsageError extends Error {
  override name = 'UsageError'
}

/** The world is not as it must be (a regular file where the pipe should be, …). Exit code 1. */
export class FatalError extends Error {
  override name = 'FatalError'
}

/** Of sysexits.h: an internal error. */
export const EXIT_BUG = 70

/** Why the program ends, for people, and its exit code. */
export function lastWords(error: unknown): { readonly text: string; readonly code: number } {
  if (error instanceof UsageError) return { text: `falco-nats: ${error.message}\n`, code: 2 }
  if (error instanceof FatalError) return { text: `falco-nats: ${error.message}\n`, code: 1 }
  const stack = error instanceof Error ? error.stack : ''
  return { text: `falco-nats: this is a bug: ${messageOf(error)}\n${stack}\n`, code: EXIT_BUG }
}

/** The message of any thrown value, on one line; deeper causes follow in brackets. */
export function messageOf(error: unknown): string {
  if (!(error instanceof Error)) return printable(String(error))
  const message = printable(error.message.trim() || error.name)
  const cause = error.cause instanceof Error ? messageOf(error.cause) : ''
  return cause && !message.includes(cause) ? `${message} (${cause})` : message
}

/** The same with the place in our code. */
export function traceOf(error: unknown): string {
  const [, place] = /\n\s+at (.*)/.exec((error instanceof Error && error.stack) || '') ?? []
  return place === undefined ? messageOf(error) : `${messageOf(error)}, at ${printable(place)}`
}

const SHOWN_CHARS_MAX = 1000

/** Escapes all but printable ASCII, so that no terminal control, line break or bidirectional override reaches a log. */
export function printable(text: string): string {
  if (text.length > SHOWN_CHARS_MAX) return `${printable(text.slice(0, SHOWN_CHARS_MAX))}...`
  return text.replace(/[^ -~]/gu, (char) => `\\u{${char.codePointAt(0)?.toString(16)}}`)
}

/** In double quotes, and safe to show. */
export const quoted = (text: string) => printable(JSON.stringify(text))
