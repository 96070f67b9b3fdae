// Text from an alert as the value of a NATS header.

const VALUE_LENGTH_MAX = 256

/**
 * Text as a header may have it (ADR-4): what is not printable ASCII is percent-encoded as in a
 * URL, and so is `%` itself; blanks at the ends, which clients cut off, are cut off. So nothing
 * can break out of its line, and `decodeURIComponent` gives the text back. At most 256 characters.
 */
export function headerValue(text: string): string {
  if (text.length <= VALUE_LENGTH_MAX && !/[^ -$&-~]/.test(text)) return text.trim()
  let value = ''
  for (const character of text.toWellFormed().trim()) {
    const safe = /[ -$&-~]/.test(character) ? character : encodeURIComponent(character)
    if (value.length + safe.length > VALUE_LENGTH_MAX) break
    value += safe
  }
  return value.trimEnd()
}
