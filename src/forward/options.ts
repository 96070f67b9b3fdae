// The one table of options: flags, environment names, defaults, parsers, --help and the README's
// table all come from it.

import { PRIORITIES, priorityIndex } from '../shared/alert/alert.ts'
import { parseTemplate } from '../shared/alert/subject.ts'
import { LOG_FORMATS, LOG_LEVELS } from '../shared/log.ts'
import { parseServers } from '../shared/nats/servers.ts'
import {
  bytesWithin,
  duration,
  listenAddress,
  nonEmpty,
  oneOf,
  streamName,
  subjectPrefix,
  wholeNumber,
} from '../shared/options/parsers.ts'
import { flag, optional, required, type ValuesOf } from '../shared/options/table.ts'
import { parseHeaders } from './encoding/headers.ts'

export const OPTIONS = {
  pipe: required({
    flags: '-f, --pipe <path>',
    default: '/var/run/falco/nats',
    parse: nonEmpty,
    help: 'the named pipe that Falco writes to; made if missing; - is standard input',
  }),
  server: required({
    flags: '-s, --server <urls>',
    natsEnv: 'NATS_URL',
    default: 'nats://127.0.0.1:4222',
    parse: parseServers,
    help: 'NATS servers, comma-separated: nats:// or tls://',
  }),
  creds: optional({
    flags: '--creds <file>',
    natsEnv: 'NATS_CREDS',
    parse: nonEmpty,
    help: 'credentials file (JWT and seed)',
  }),
  nkey: optional({
    flags: '--nkey <file>',
    natsEnv: 'NATS_NKEY',
    parse: nonEmpty,
    help: 'file with an NKey seed',
  }),
  user: optional({
    flags: '--user <name>',
    natsEnv: 'NATS_USER',
    parse: nonEmpty,
    help: 'user name',
  }),
  passwordFile: optional({
    flags: '--password-file <file>',
    parse: nonEmpty,
    help: "file with the user's password",
  }),
  password: optional({
    natsEnv: 'NATS_PASSWORD',
    parse: nonEmpty,
    help: "the user's password",
  }),
  tokenFile: optional({
    flags: '--token-file <file>',
    parse: nonEmpty,
    help: 'file with a token',
  }),
  token: optional({ natsEnv: 'NATS_TOKEN', parse: nonEmpty, help: 'a token' }),
  tlsca: optional({
    flags: '--tlsca <file>',
    natsEnv: 'NATS_CA',
    parse: nonEmpty,
    help: 'certificates of the authorities to trust',
  }),
  tlscert: optional({
    flags: '--tlscert <file>',
    natsEnv: 'NATS_CERT',
    parse: nonEmpty,
    help: 'client certificate',
  }),
  tlskey: optional({
    flags: '--tlskey <file>',
    natsEnv: 'NATS_KEY',
    parse: nonEmpty,
    help: 'key of the client certificate',
  }),
  tlsfirst: flag({ flags: '--tlsfirst', help: 'TLS handshake before the server says anything' }),
  subject: required({
    flags: '--subject <template>',
    default: 'falco.<priority>.<rule>',
    parse: parseTemplate,
    help: 'subject of an alert; tokens: <priority> <rule> <source> <hostname>',
  }),
  headers: required({
    flags: '--headers <on|off>',
    default: 'off',
    parse: oneOf(['on', 'off']),
    help: 'send Falco-Rule, Falco-Priority, Falco-Source and Falco-Hostname as headers',
  }),
  addHeader: optional({
    flags: '--add-header <name=value,...>',
    parse: parseHeaders,
    help: 'more headers, the same on each alert, with --headers off as well',
  }),
  jetstream: flag({
    flags: '--jetstream',
    help: 'publish to a JetStream stream: an alert is delivered when it is stored',
  }),
  stream: optional({
    flags: '--stream <name>',
    parse: streamName,
    help: 'the stream that must take the alerts; no other is allowed to',
  }),
  createStream: flag({
    flags: '--create-stream',
    help: 'make the stream when it is missing; --stream names it, else FALCO',
  }),
  streamMaxAge: optional({
    flags: '--stream-max-age <duration>',
    defaultText: '7d',
    parse: duration('9999d'),
    help: 'how long the stream that is made keeps alerts; 0 is without limit',
  }),
  duplicateWindow: optional({
    flags: '--duplicate-window <duration>',
    defaultText: '2m',
    parse: duration('9999d'),
    help: 'how long the stream that is made knows an alert that comes again',
  }),
  maxInFlight: optional({
    flags: '--max-in-flight <n>',
    defaultText: '1024',
    parse: wholeNumber(1, 100_000),
    help: 'how many alerts may be on their way to JetStream without an answer',
  }),
  inboxPrefix: optional({
    flags: '--inbox-prefix <prefix>',
    defaultText: '_INBOX',
    parse: subjectPrefix,
    help: 'where answers to this connection are sent: so that its user can be denied those of others',
  }),
  minPriority: required({
    flags: '--min-priority <priority>',
    default: 'debug',
    parse(text) {
      const index = priorityIndex(text)
      if (index === undefined) throw new Error(`allowed: ${PRIORITIES.join(', ')} (or info)`)
      return index
    },
    help: `drops (and counts) what is below: ${PRIORITIES.join(', ')}`,
  }),
  maxLineBytes: required({
    flags: '--max-line-bytes <size>',
    default: '1MiB',
    parse: bytesWithin(1024, 8 * 1024 ** 2),
    help: "a longer line is rejected; the server's max_payload, if lower, rules as well",
  }),
  batchBytes: required({
    flags: '--batch-bytes <size>',
    default: '256KiB',
    parse: bytesWithin(1024, 4 * 1024 ** 2),
    help: 'the most bytes in one batch, unless one alert alone is larger',
  }),
  bufferBytes: required({
    flags: '--buffer-bytes <size>',
    default: '16MiB',
    parse: bytesWithin(1024, 4 * 1024 ** 3),
    help: 'the most bytes in memory of batches that are read and not yet confirmed',
  }),
  spoolDir: optional({
    flags: '--spool-dir <directory>',
    parse: nonEmpty,
    help: 'keeps there what the server does not confirm, over outages and restarts',
  }),
  spoolBytes: required({
    flags: '--spool-bytes <size>',
    default: '256MiB',
    parse: bytesWithin(4 * 1024 ** 2, 1024 ** 4),
    help: 'the most bytes on disk in --spool-dir',
  }),
  whenFull: required({
    flags: '--when-full <policy>',
    default: 'block',
    parse: oneOf(['block', 'drop']),
    help: 'when buffer and spool are full: stop reading, or drop the least severe, oldest first',
  }),
  drainTimeout: required({
    flags: '--drain-timeout <duration>',
    default: '10s',
    parse: duration('24d'),
    help: 'how long a stop may take to deliver what was read',
  }),
  metricsAddress: required({
    flags: '--metrics-address <address>',
    default: ':9376',
    parse: listenAddress,
    help: 'where /metrics, /livez and /readyz are served: host:port, :port or off',
  }),
  falcoEvents: required({
    flags: '--falco-events <mode>',
    default: 'bounded',
    parse: oneOf(['off', 'bounded', 'full']),
    help: 'the metric falco_events: none, at most --max-series, or one series for each pod ever seen',
  }),
  maxSeries: required({
    flags: '--max-series <n>',
    default: '2000',
    parse: wholeNumber(10, 1_000_000),
    help: 'how many series falco_events may have; beyond it, the least recently seen lose their pod',
  }),
  connectionName: optional({
    flags: '--connection-name <name>',
    defaultText: 'falco-nats@<host>',
    parse: nonEmpty,
    help: 'how the server lists this connection',
  }),
  dryRun: flag({
    flags: '--dry-run',
    help: 'print subject<TAB>line to standard output instead of connecting',
  }),
  check: flag({
    flags: '--check',
    help: 'validate the options, try the pipe and the server once, say what was found, exit',
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

/** The options of `falco-nats sample`. */
export const SAMPLE_OPTIONS = {
  count: required({
    flags: '--count <n>',
    default: '10',
    parse: wholeNumber(0, 999_999_999),
    help: 'how many alerts; 0 is without end',
  }),
  rate: required({
    flags: '--rate <n>',
    default: '0',
    parse: wholeNumber(0, 999_999_999),
    help: 'alerts per second; 0 is as fast as they are read',
  }),
}

export type Config = ValuesOf<typeof OPTIONS>
