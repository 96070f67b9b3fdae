// The options of JetStream, and the stream that they describe.

import { type SubjectTemplate, streamSubject } from '../../../shared/alert/subject.ts'
import { UsageError } from '../../../shared/errors.ts'
import { duration, streamName, wholeNumber } from '../../../shared/options/parsers.ts'
import { flag, longFlag, optional, type ValuesOf } from '../../../shared/options/table.ts'
import { formatDuration } from '../../../shared/options/units.ts'

const [DAY_MS, MINUTE_MS] = [86_400_000, 60_000]

export const STREAM_OPTIONS = {
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
}

type StreamOptions = ValuesOf<typeof STREAM_OPTIONS> & { readonly subject: SubjectTemplate }

export type StreamSettings = ReturnType<typeof streamSettings>

/** A stream as `--create-stream` makes it. For a template that begins with a token it takes every subject. */
export const streamSettings = (config: StreamOptions) => ({
  name: config.stream ?? 'FALCO',
  subject: streamSubject(config.subject) ?? '>',
  /** 0: no limit. */
  maxAgeMs: config.streamMaxAge ?? 7 * DAY_MS,
  duplicateWindowMs: config.duplicateWindow ?? 2 * MINUTE_MS,
})

/** Without the option on the right the one on the left does nothing. */
const NEEDS = [
  ['stream', 'jetstream'],
  ['createStream', 'jetstream'],
  ['maxInFlight', 'jetstream'],
  ['streamMaxAge', 'createStream'],
  ['duplicateWindow', 'createStream'],
] as const

/** Throws a UsageError where options do nothing, or contradict each other. */
export function checkStreamOptions(config: StreamOptions): void {
  for (const [option, needed] of NEEDS)
    if ((config[option] ?? false) !== false && !config[needed]) {
      const [given, missing] = [option, needed].map((key) => longFlag(STREAM_OPTIONS[key]))
      throw new UsageError(`${given} is given without ${missing}; allowed: only with it`)
    }
  if (!config.createStream) return
  if (streamSubject(config.subject) === undefined)
    throw new UsageError(
      `--create-stream with --subject ${config.subject.text}: it begins with a token, so a stream for it would take everything; allowed: a template such as falco.<priority>.<rule>`,
    )
  const { maxAgeMs, duplicateWindowMs } = streamSettings(config)
  if (maxAgeMs > 0 && duplicateWindowMs > maxAgeMs)
    throw new UsageError(
      '--duplicate-window is longer than --stream-max-age; allowed: up to as long',
    )
}

/** The command of the nats CLI that makes the stream. */
export function addCommand({ name, subject, maxAgeMs, duplicateWindowMs }: StreamSettings): string {
  const maxAge = maxAgeMs > 0 ? ` --max-age ${formatDuration(maxAgeMs)}` : ''
  return `nats stream add ${name} --subjects '${subject}' --storage file --discard old${maxAge} --dupe-window ${formatDuration(duplicateWindowMs)} --defaults`
}
