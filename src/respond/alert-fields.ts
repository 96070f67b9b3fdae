// The values of an alert's fields as text, to compare them with what a file says.

/** Of text, numbers and truth values their text; of a list those of its elements; of anything else none. */
export function textsOf(value: unknown): string[] {
  if (Array.isArray(value))
    return value.filter((element) => !Array.isArray(element)).flatMap(textsOf)
  if (typeof value === 'string') return [value]
  return typeof value === 'number' || typeof value === 'boolean' ? [String(value)] : []
}
