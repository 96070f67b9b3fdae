// Why JetStream does not store an alert, by the server's error codes, and what helps. The table has the codes
// that a publisher can meet, or a client that makes a stream, with the server's words for them
// (https://github.com/nats-io/nats-server/blob/main/server/errors.json).

import TABLE from './error-codes.json' with { type: 'json' }
import { addCommand, type StreamSettings } from './stream-settings.ts'

export type Trouble = keyof typeof TABLE

const TROUBLES = Object.keys(TABLE) as Trouble[]

/** This one carries whatever the store of the stream reports. */
const STORE_FAILED = 10077
const REASONS: readonly [reason: RegExp, trouble: Trouble][] = [
  [/^maximum /, 'stream_full'],
  [/no space left|insufficient|limits? exceeded/, 'out_of_storage'],
  [/^message too large/, 'too_large'],
]

/** `refused` where the code is none that we know: the log has the server's words, and it is tried again. */
export const troubleOf = (code: number | undefined, reason: string): Trouble =>
  (code === STORE_FAILED
    ? REASONS.find(([known]) => known.test(reason))?.[1]
    : TROUBLES.find((trouble) => String(code) in TABLE[trouble].codes)) ?? 'refused'

export const STORAGE_ADVICE =
  'give the server or the account more, or let its streams keep less (nats account info shows the limits)'

/** For the log: on an alert on `subject` that `stream`, where one answered, did not store. */
export function adviceFor(
  trouble: Trouble,
  subject: string,
  stream: string | undefined,
  settings: StreamSettings,
): string {
  const values: Record<string, string> = {
    subject,
    stream: stream ?? settings.name,
    expected: settings.name,
    command: addCommand(settings),
    storage: STORAGE_ADVICE,
  }
  return TABLE[trouble].advice.replace(/\{(\w+)\}/g, (_, name) => values[name]!)
}
