// Fills `{{ rule }}`, `{{ output_fields.k8s.pod.name }}` in JSON: a webhook's body, a Job. Names are looked up in the
// alert and nowhere else, and nothing is evaluated.

type Fields = Readonly<Record<string, unknown>>

const PLACE = /\{\{([^{}]*)\}\}/g
const ONE_PLACE = /^\{\{([^{}]*)\}\}$/

/** A copy. A string that is one place alone becomes the value itself: a number, a list. What is missing is empty. */
export function fill(template: unknown, fields: Fields): unknown {
  if (typeof template === 'string') {
    const [, name] = ONE_PLACE.exec(template) ?? []
    if (name === undefined) return fillText(template, fields)
    const value = lookUp(fields, name.trim())
    return value === undefined ? '' : value
  }
  if (Array.isArray(template)) return template.map((element) => fill(element, fields))
  if (typeof template !== 'object' || template === null) return template
  // Sets even a key such as __proto__ as a plain one.
  return Object.fromEntries(
    Object.entries(template).map(([key, value]) => [key, fill(value, fields)]),
  )
}

/** The same for text that must stay text. `safe` is applied to each value, not to the text around it. */
export function fillText(template: string, fields: Fields, safe = (text: string) => text): string {
  return template.replace(PLACE, (_, name: string) => safe(textOf(lookUp(fields, name.trim()))))
}

/** Keys may have dots in them (`k8s.pod.name`), so the longest that is there is taken first. */
export function lookUp(fields: unknown, path: string): unknown {
  if (typeof fields !== 'object' || fields === null) return undefined
  for (let end = path.length; end > 0; end = path.lastIndexOf('.', end - 1)) {
    const key = path.slice(0, end)
    if (!Object.hasOwn(fields, key)) continue
    const value = (fields as Fields)[key]
    if (end === path.length) return value
    const found = lookUp(value, path.slice(end + 1))
    if (found !== undefined) return found
  }
  return undefined
}

function textOf(value: unknown): string {
  if (value === undefined || value === null) return ''
  return typeof value === 'string' ? value : JSON.stringify(value)
}
