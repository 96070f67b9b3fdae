// The log: pino on standard error. It has changes of state, bad input (rate-limited, escaped) and sums; no secrets.

import { isatty } from 'node:tty'
import pino from 'pino'
import type { COMMON_OPTIONS } from './options/common.ts'
import type { ValuesOf } from './options/table.ts'
import { standardError } from './process/output.ts'

export type Logger = pino.Logger
export type LogOptions = Pick<ValuesOf<typeof COMMON_OPTIONS>, 'logLevel' | 'logFormat'>

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
  return log
}
