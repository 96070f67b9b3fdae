// Options of both halves that have nothing to do with NATS.

import { listenAddress, oneOf } from './parsers.ts'
import { optional, required } from './table.ts'

export const LOG_LEVELS = ['trace', 'debug', 'info', 'warn', 'error', 'fatal', 'silent'] as const
export const LOG_FORMATS = ['json', 'pretty'] as const

export const COMMON_OPTIONS = {
  metricsAddress: required({
    flags: '--metrics-address <address>',
    default: ':9376',
    parse: listenAddress,
    help: 'where /metrics, /livez and /readyz are served: host:port, :port or off',
  }),
  logLevel: required({
    flags: '--log-level <level>',
    default: 'info',
    parse: oneOf(LOG_LEVELS),
    help: LOG_LEVELS.join(', '),
  }),
  logFormat: optional({
    flags: '--log-format <format>',
    defaultText: 'pretty on a terminal, else json',
    parse: oneOf(LOG_FORMATS),
    help: 'json or pretty, on standard error',
  }),
}
