// What came of one life in a script, without what differs from run to run.

import type { LogLine } from '../life-log.ts'
import type { PlayedLife } from './player.ts'

export interface LifeOutcome {
  readonly end: string | undefined
  /** The sums of its last line, or the books when it was killed. */
  readonly sums: Readonly<Record<string, unknown>>
  readonly said: readonly string[]
}

/** What differs from run to run, in the log and its last line. */
const UNSTABLE = ['server', 'version', 'tls', 'batches', 'input', 'suppressed']

export function outcomeOf({ seen, retried, booksAtKill }: PlayedLife): LifeOutcome {
  const last = seen.log.at(-1)
  const sums = { ...(booksAtKill ?? last?.fields) } as Record<string, unknown>
  for (const name of UNSTABLE) delete sums[name]
  // Retries come after pauses that are drawn.
  if (retried && typeof sums.resent === 'number') sums.resent = sums.resent > 0
  const log = booksAtKill ? seen.log : [...seen.log.slice(0, -1), { ...last!, fields: {} }]
  const rejects = new Set<unknown>()
  const takesTurns = log.some(({ fields }) => fields.trouble === 'wrong_stream')
  const said = log.filter(({ message, fields }) => {
    // Between two streams that take the same subjects there is none, and a retry may fall into that moment.
    if (takesTurns && fields.trouble === 'no_responders') return false
    // The same reason is logged once in 10 s, by the clock.
    if (!message.startsWith('lost an alert')) return true
    const isNew = !rejects.has(fields.reason)
    rejects.add(fields.reason)
    return isNew
  })
  return { end: seen.end(), sums, said: said.map(shown) }
}

function shown({ level, message, fields }: LogLine): string {
  const stable = Object.entries(fields).filter(([name]) => !UNSTABLE.includes(name))
  const values = stable.map(([name, value]) => `${name}=${stableOf(value)}`)
  return [level, message, ...values].join(' ')
}

/** Who hears of the end of a connection first, and whether the server's last words come through, is chance. */
const LOST =
  /Maximum Payload Violation|the server closed the connection|closed connection|ECONNRESET|EPIPE|CONNECTION_CLOSED|socket hang up/
const REFUSED = /refused/i

function stableOf(value: unknown): string {
  const text = typeof value === 'string' ? value : JSON.stringify(value)
  return LOST.test(text) ? '(lost)' : REFUSED.test(text) ? '(refused)' : text
}
