// The log of one life: its lines as data.

import type { Logger } from '../../src/shared/log.ts'

export interface LogLine {
  readonly level: 'info' | 'warn' | 'error' | 'fatal'
  readonly message: string
  readonly fields: Readonly<Record<string, unknown>>
}

/** A logger for `forward`, which calls these four methods of pino's and nothing else. */
export function createLifeLog(onLine: (line: LogLine) => void): Logger {
  const at =
    (level: LogLine['level']) =>
    (fields: Record<string, unknown> | string, message = '') =>
      onLine(
        typeof fields === 'string'
          ? { level, message: fields, fields: {} }
          : { level, message, fields },
      )
  const log = { info: at('info'), warn: at('warn'), error: at('error'), fatal: at('fatal') }
  return log as unknown as Logger
}
