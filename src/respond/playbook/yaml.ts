// A YAML file as a value, and where in it something stands, so that an error can name line and column.

import { isAlias, isMap, isScalar, isSeq, LineCounter, parseDocument, visit } from 'yaml'
import { messageOf, printable, UsageError } from '../../shared/errors.ts'

/** Keys of maps and numbers of elements, from the top. */
export type Path = readonly PropertyKey[]

export type Place = 'key' | 'value'

export interface YamlFile {
  readonly value: unknown
  /** On one line: file, line, column, path, reason. What is missing is placed where it is missing. */
  error(path: Path, reason: string, place?: Place): UsageError
}

/** More than any playbook needs, and less than exhausts what recurses through it. */
const DEPTH_MAX = 64

/** Throws a UsageError for what is not YAML, has a key twice, or is made to exhaust its reader. */
export function readYaml(text: string, file: string): YamlFile {
  const lines = new LineCounter()
  const errorAt = (offset: number, reason: string) => {
    const { line, col } = lines.linePos(offset)
    return new UsageError(printable(`${file}:${line || 1}:${col || 1}: ${reason}`))
  }
  try {
    const doc = parseDocument(text, { lineCounter: lines, prettyErrors: false })
    const [mistake] = [...doc.errors, ...doc.warnings]
    if (mistake) throw errorAt(mistake.pos[0], mistake.message)
    visit(doc, {
      Pair(_, { key }) {
        if (!isScalar(key)) throw errorAt(startOf(key) ?? 0, 'allowed for a key: text')
        // The schema drops it silently, and a `match` would let more through.
        if (key.value === '__proto__')
          throw errorAt(startOf(key) ?? 0, '__proto__: allowed for a key: any other text')
      },
    })
    // Refuses alias bombs by itself.
    const value = doc.toJS()
    if (!isShallow(value, DEPTH_MAX)) throw errorAt(0, `nested more than ${DEPTH_MAX} deep`)
    return {
      value,
      error(path, reason, place = 'value') {
        const shown = pathText(path)
        return errorAt(offsetOf(doc, path, place), shown ? `${shown}: ${reason}` : reason)
      },
    }
  } catch (error) {
    throw error instanceof UsageError ? error : errorAt(0, messageOf(error))
  }
}

/** Also false for what contains itself. */
function isShallow(value: unknown, depth: number): boolean {
  if (typeof value !== 'object' || value === null) return true
  return depth > 0 && Object.values(value).every((inner) => isShallow(inner, depth - 1))
}

/** Where it begins; of what is not there, where the nearest around it does. */
function offsetOf(doc: ReturnType<typeof parseDocument>, path: Path, place: Place): number {
  let node: unknown = doc.contents
  let offset = startOf(node) ?? 0
  for (const [index, segment] of path.entries()) {
    if (isAlias(node)) node = node.resolve(doc)
    if (isMap(node)) {
      const pair = node.items.find(({ key }) => String(key) === String(segment))
      if (!pair) break
      node = pair.value
      const isEmpty = isScalar(node) && node.range?.[0] === node.range?.[1]
      const atKey = isEmpty || (place === 'key' && index === path.length - 1)
      offset = (atKey ? undefined : startOf(node)) ?? startOf(pair.key) ?? offset
    } else if (isSeq(node)) {
      node = node.items[Number(segment)]
      offset = startOf(node) ?? offset
    } else break
  }
  return offset
}

const startOf = (node: unknown) =>
  (node as { range?: readonly number[] | null } | null | undefined)?.range?.[0]

/** `playbooks[0].match.output_fields["k8s.ns.name"]` */
function pathText(path: Path): string {
  const parts = path.map((segment) => {
    if (typeof segment === 'number') return `[${segment}]`
    const key = String(segment)
    return /^[\w-]+$/.test(key) ? `.${key}` : `[${JSON.stringify(key)}]`
  })
  return parts.join('').replace(/^\./, '')
}
