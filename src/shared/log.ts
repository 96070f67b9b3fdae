// The log: pino on stderr. Lines are for a person who watches a security tool: changes of state,
// bad input (rate-limited, escaped), and a last line with the sums. Never a secret.

import { isatty } from 'node:tty'
import pino from 'pino'
import type { RejectReason } from '../forward/accounting/counters.ts'
import { printable } from './errors.ts'
import type { LogOptions } from './options/common.ts'
import { standardError } from './process/output.ts'

export type Logger = pino.Logger

/** A logger that neither waits for standard error nor ends with it (output.ts). */
export async function createLogger({ logLevel, logFormat }: LogOptions): Promise<Logger> {
  const options = { level: logLevel, base: null, timestamp: pino.stdTimeFunctions.isoTime }
  const output = standardError()
  const isTerminal = isatty(2)
  let log: Logger
  if ((logFormat ?? (isTerminal ? 'pretty' : 'json')) === 'json')
    log = pino({ ...options, formatters: { level: (level) => ({ level }) } }, output)
  else {
    // Loaded only here: it is a third of the program, and no cluster needs it.
    const { prettyFactory } = await import('pino-pretty')
    const colorize = isTerminal && !process.env.NO_COLOR
    const pretty = prettyFactory({ singleLine: true, colorize, translateTime: 'SYS:HH:MM:ss' })
    log = pino(options, { write: (line) => output.write(pretty(line)) })
  }
  output.onRecovery = (lines) =>
    log.error({ lines }, `${lines} log lines were dropped because standard error was blocked`)
  // Node itself would write them, and wait.
  process.removeAllListeners('warning')
  process.on('warning', ({ name, message }) =>
    log.warn({ reason: printable(message) }, `Node.js warns: ${printable(name)}`),
  )
  return log
}

const QUIET_MS = 10_000
const EXCERPT_BYTES = 80

/** Reports rejects at warn: at most one line per reason in 10 s, which tells how many it stands for. */
export function createRejectLog(log: Logger) {
  const reasons = new Map<RejectReason, { quietUntil: number; suppressed: number }>()
  return (reason: RejectReason, detail: () => Record<string, unknown>): void => {
    const state = reasons.get(reason) ?? { quietUntil: 0, suppressed: 0 }
    reasons.set(reason, state)
    const now = performance.now()
    if (now < state.quietUntil) {
      state.suppressed++
      return
    }
    log.warn({ reason, ...detail(), suppressed: state.suppressed }, MESSAGES[reason])
    state.quietUntil = now + QUIET_MS
    state.suppressed = 0
  }
}

export type RejectLog = ReturnType<typeof createRejectLog>

const MESSAGES: Record<RejectReason, string> = {
  invalid_json: 'rejected a line: it is not JSON',
  not_an_alert: 'rejected a line: it is JSON but not an alert (no priority or no rule)',
  too_long: 'rejected a line: it is longer than --max-line-bytes',
  internal_error: 'lost a line, maybe an alert: this is a bug',
  exceeds_max_payload: "lost an alert: it is larger than the server's max_payload",
  refused_by_stream: 'lost an alert: it is longer than the max_msg_size of the stream',
  permission_denied: 'lost an alert: the server denies publishing on its subject',
}

/** The first bytes of a line, in printable ASCII: anything else is shown as `\xNN`. */
export function excerpt(bytes: Buffer): string {
  const shown = bytes
    .toString('latin1', 0, EXCERPT_BYTES)
    .replace(/[^ -[\]-~]/g, (char) =>
      char === '\\' ? '\\\\' : `\\x${char.charCodeAt(0).toString(16).padStart(2, '0')}`,
    )
  return bytes.length > EXCERPT_BYTES ? `${shown}…` : shown
}
