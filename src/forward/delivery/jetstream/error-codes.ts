// Why JetStream does not store an alert, by the server's error codes, and what helps.

import { addCommand, type StreamSettings } from './stream-settings.ts'

export type Trouble =
  | 'no_responders'
  | 'timeout'
  | 'stream_full'
  | 'out_of_storage'
  | 'wrong_stream'
  | 'unsuitable_stream'
  | 'unavailable'
  | 'busy'
  | 'too_large'
  | 'refused'

/**
 * The codes that a publisher can meet, and who makes a stream
 * (https://github.com/nats-io/nats-server/blob/main/server/errors.json).
 */
const TROUBLES: Readonly<Record<number, Trouble>> = {
  10002: 'out_of_storage', // resource limits exceeded for account
  10007: 'unavailable', // cluster not assigned to this server
  10008: 'unavailable', // system temporarily unavailable
  10009: 'unavailable', // cluster can not handle request
  10023: 'out_of_storage', // insufficient resources
  10026: 'out_of_storage', // maximum consumers limit reached
  10027: 'out_of_storage', // maximum number of streams reached
  10028: 'out_of_storage', // insufficient memory resources available
  10035: 'no_responders', // account not found
  10039: 'no_responders', // JetStream not enabled for account
  10047: 'out_of_storage', // insufficient storage resources available
  10054: 'too_large', // message size exceeds maximum allowed
  10059: 'no_responders', // stream not found
  10060: 'wrong_stream', // expected stream does not match
  10076: 'no_responders', // JetStream not enabled
  10077: 'stream_full', // maximum messages, bytes, messages per subject exceeded, or REASONS below
  10097: 'too_large', // header size exceeds maximum allowed of 64k
  10109: 'unsuitable_stream', // invalid operation on sealed stream
  10113: 'out_of_storage', // account requires a stream config to have max bytes set
  10118: 'unavailable', // stream is offline
  10120: 'out_of_storage', // no JetStream default or applicable tiered limit present
  10122: 'out_of_storage', // stream max bytes exceeds account limit max stream bytes
  10158: 'busy', // duplicate message id is in process
  10167: 'busy', // too many requests
  10169: 'unsuitable_stream', // message counter increment is missing
  10194: 'unavailable', // stream is offline: …
}

/** 10077 carries whatever its store says. */
const STORE_FAILED = 10077
const REASONS: readonly [reason: RegExp, trouble: Trouble][] = [
  [/^maximum /, 'stream_full'],
  [/no space left|insufficient|limits? exceeded/, 'out_of_storage'],
  [/^message too large/, 'too_large'],
]

/** `refused` where the code is none that we know: people get the server's words, and it is tried again. */
export function troubleOf(code: number | undefined, reason: string): Trouble {
  if (code === STORE_FAILED) return REASONS.find(([known]) => known.test(reason))?.[1] ?? 'refused'
  return TROUBLES[code ?? 0] ?? 'refused'
}

/** What to tell people of an alert on `subject` that `stream`, where one answered, did not store. */
export function adviceFor(
  trouble: Trouble,
  subject: string,
  stream: string | undefined,
  settings: StreamSettings,
): string {
  const name = stream ?? settings.name
  switch (trouble) {
    case 'no_responders':
      return `no stream takes ${subject} (or JetStream is off), will keep trying; to make one: ${addCommand(settings)}`
    case 'timeout':
      return `JetStream does not answer, will keep trying; is there a stream that takes ${subject}, and may this user subscribe to _INBOX.> (or --inbox-prefix)?`
    case 'stream_full':
      return `the stream ${name} is full and discards what is new, will keep trying; purge it (nats stream purge ${name}) or let it discard what is old`
    case 'out_of_storage':
      return `JetStream has no storage left, will keep trying; ${STORAGE_ADVICE}`
    case 'wrong_stream':
      return `the stream ${name} takes ${subject}, and --stream allows only ${settings.name}, will keep trying; mend --stream or the subjects of the streams`
    case 'unsuitable_stream':
      return `the stream ${name} takes ${subject} but stores no alerts (it is sealed, or a counter), will keep trying; give the subject to another stream`
    case 'unavailable':
      return `the stream ${name} has no leader or is offline, will keep trying; nats stream report shows its replicas`
    case 'busy':
      return `the stream ${name} takes no more at this moment, will keep trying; where that lasts, lower --max-in-flight`
    default:
      return 'JetStream refuses alerts, will keep trying'
  }
}

export const STORAGE_ADVICE =
  'give the server or the account more, or let its streams keep less (nats account info shows the limits)'
