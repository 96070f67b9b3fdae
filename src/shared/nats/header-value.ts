// Text from an alert as the value of a NATS header.

const VALUE_LENGTH_MAX = 256

/**
 * `%` and all but printable ASCII are percent-encoded, so that nothing breaks out of its line (NATS ADR-4) and
 * `decodeURIComponent` gives the text back, without the blanks at its ends and up to 256 characters.
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
