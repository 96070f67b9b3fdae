import { expect, it } from 'vitest'
import { adviceFor, troubleOf } from '../../../../src/forward/delivery/jetstream/error-codes.ts'

it.each([
  [10002, 'resource limits exceeded for account', 'out_of_storage'],
  [10027, 'maximum number of streams reached', 'out_of_storage'],
  [10077, 'maximum messages per subject exceeded', 'stream_full'],
  [10077, 'maximum bytes exceeded', 'stream_full'],
  [10077, 'write /data/msgs/1.blk: no space left on device', 'out_of_storage'],
  [10077, 'message too large', 'too_large'],
  [10077, 'store is closed', 'refused'],
  [10109, 'invalid operation on sealed stream', 'unsuitable_stream'],
  [10008, 'JetStream system temporarily unavailable', 'unavailable'],
  [10167, 'too many requests', 'busy'],
  [99999, 'an error of a server to come', 'refused'],
  [undefined, 'unknown error', 'refused'],
] as const)('takes %s, "%s", for %s', (code, reason, trouble) => {
  expect(troubleOf(code, reason)).toBe(trouble)
})

it('has advice for each trouble that lasts', () => {
  const settings = { name: 'FALCO', subject: 'falco.>', maxAgeMs: 0, duplicateWindowMs: 120_000 }
  for (const trouble of ['out_of_storage', 'unsuitable_stream', 'unavailable', 'busy'] as const)
    expect(adviceFor(trouble, 'falco.notice.a', 'A', settings)).toMatch(/, will keep trying; \w+/)
})
