// Subjects with wildcards: which are allowed, what matches them, what several of them have in common.

export const OUTCOME_PREFIX = 'falco.response.'
export const DEAD_LETTER_PREFIX = 'falco.dead_letter.'
const OWN_PREFIXES = [OUTCOME_PREFIX, DEAD_LETTER_PREFIX]

const LENGTH_MAX = 512

/** Throws an Error with what is allowed. */
export function subjectPattern(text: string): string {
  const tokens = text.split('.')
  const wild = tokens.some(
    (token, index) =>
      /[*>]/.test(token) && token !== '*' && !(token === '>' && index === tokens.length - 1),
  )
  if (!/^[!-~]+$/.test(text) || text.length > LENGTH_MAX || tokens.includes('') || wild)
    throw new Error(
      'allowed: a subject in printable ASCII without blanks; * stands for a token, > at the end for one or more',
    )
  if (text.startsWith('$')) throw new Error('subjects that begin with $ belong to the NATS server')
  const own = OWN_PREFIXES.find((prefix) => text.startsWith(prefix))
  if (own !== undefined)
    throw new Error(`${own}> is what playbooks publish themselves, and is never acted upon`)
  return text
}

/** What we publish ourselves. Never acted upon: an answer to an answer would have no end. */
export const isOwn = (subject: string) => OWN_PREFIXES.some((prefix) => subject.startsWith(prefix))

/** Whether `outer` matches all that `inner` matches: a subject, or a pattern as well. */
export const covers = (outer: string, inner: string) => matches(outer, inner, false)

/** Whether some subject matches both. */
export const overlap = (a: string, b: string) => matches(a, b, true)

/** As NATS does. `areBothWild`: the wildcards of `b` match tokens of `a`, too. */
function matches(a: string, b: string, areBothWild: boolean): boolean {
  const [tokens, others] = [a.split('.'), b.split('.')]
  for (const [index, token] of tokens.entries()) {
    const other = others[index]
    if (other === undefined) return false
    if (token === '>') return true
    if (other === '>') return areBothWild
    if (token !== '*' && token !== other && !(areBothWild && other === '*')) return false
  }
  return tokens.length === others.length
}

/** Whether no subject matches two of them. */
export const areDisjoint = (patterns: readonly string[]) =>
  patterns.every((one, at) => !patterns.slice(at + 1).some((two) => overlap(one, two)))

/** The narrowest single pattern that covers all of them; `>` where they have nothing in common. */
export function cover(patterns: readonly string[]): string {
  const all = patterns.map((pattern) => pattern.split('.'))
  const [first] = all
  if (!first) return '>'
  const merged = (length: number) =>
    first
      .slice(0, length)
      .map((token, index) => (all.every((tokens) => tokens[index] === token) ? token : '*'))
  const open = all.some((tokens) => tokens.at(-1) === '>')
  if (!open && all.every((tokens) => tokens.length === first.length))
    return merged(first.length).join('.')
  // A `>` takes one token at least, so it may begin at the last one of the shortest.
  return [...merged(Math.min(...all.map((tokens) => tokens.length)) - 1), '>'].join('.')
}
