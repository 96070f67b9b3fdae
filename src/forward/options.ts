// The one table of options, from which the environment names, --help and the README's table are made.

import { PRIORITIES, priorityIndex } from '../shared/alert/alert.ts'
import { parseTemplate } from '../shared/alert/subject.ts'
import { NATS_OPTIONS } from '../shared/nats/options.ts'
import { COMMON_OPTIONS } from '../shared/options/common.ts'
import { bytesWithin, duration, nonEmpty, oneOf, wholeNumber } from '../shared/options/parsers.ts'
import { flag, optional, parser, required, type ValuesOf } from '../shared/options/table.ts'
import { WHEN_FULL } from './buffer/when-full.ts'
import { STREAM_OPTIONS } from './delivery/jetstream/stream-settings.ts'
import { parseHeaders } from './encoding/headers.ts'

export const OPTIONS = {
  pipe: required({
    flags: '-f, --pipe <path>',
    default: '/var/run/falco/nats',
    parse: nonEmpty,
    help: 'the named pipe that Falco writes to; made if missing; - is standard input',
  }),
  adoptFile: flag({
    flags: '--adopt-file',
    help: 'if Falco was first and has made a file where the pipe should be: forward it, and put the pipe in its place',
  }),
  ...NATS_OPTIONS,
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
  ...STREAM_OPTIONS,
  minPriority: required({
    flags: '--min-priority <priority>',
    default: 'debug',
    parse: parser({ type: 'choice', choices: [...PRIORITIES, 'info'] }, (text) => {
      const index = priorityIndex(text)
      if (index === undefined) throw new Error(`allowed: ${PRIORITIES.join(', ')} (or info)`)
      return index
    }),
    help: `drops (and counts) what is below: ${PRIORITIES.join(', ')}; Falco's internal alerts pass`,
  }),
  dropInternal: flag({
    flags: '--drop-internal',
    help: "drops (and counts) Falco's internal alerts, such as `Falco internal: syscall event drop`",
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
    parse: oneOf(WHEN_FULL),
    help: 'when buffer and spool are full: stop reading; drop the least severe, oldest first; or drop those below a priority, then stop reading',
  }),
  drainTimeout: required({
    flags: '--drain-timeout <duration>',
    default: '10s',
    parse: duration('24d'),
    help: 'how long a stop may take to deliver what was read',
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
  dryRun: flag({
    flags: '--dry-run',
    help: 'print subject<TAB>line to standard output instead of connecting',
  }),
  check: flag({
    flags: '--check',
    help: 'validate the options, try the pipe and the server once, say what was found, exit',
  }),
  ...COMMON_OPTIONS,
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
