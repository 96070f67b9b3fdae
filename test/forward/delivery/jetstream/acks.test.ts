import { expect, it } from 'vitest'
import {
  adviceFor,
  readAnswer,
  troubleOf,
} from '../../../../src/forward/delivery/jetstream/acks.ts'

it('tells what is stored from what is not, whatever the answer', () => {
  const answers: [text: string, answer: unknown][] = [
    ['{"stream":"A", "seq":1}', 'stored'],
    ['{"stream":"A", "seq":23,"duplicate": true}', 'duplicate'],
    ['{"stream":"A","seq":4,"domain":"hub"}', 'stored'],
    ['{"stream":"A", "seq":5', { trouble: 'refused' }],
    ['{"stream":"A", "seq":5}}', { trouble: 'refused' }],
    ['{"stream":"A", "seq":5,"error":{"err_code":10060}}', { trouble: 'wrong_stream' }],
    ['{5}', { trouble: 'refused' }],
    ['null', { trouble: 'refused' }],
    ['{"error":null}', { trouble: 'refused' }],
    ['{"error":{"description":5}}', { trouble: 'refused' }],
    ['\xff\xfe', { trouble: 'refused' }],
    ['{"stream":"\xff", "seq":5}', 'stored'],
    ['', { trouble: 'no_responders' }],
  ]
  for (const [text, answer] of answers) {
    const expected = typeof answer === 'string' ? answer : expect.objectContaining(answer)
    expect([text, readAnswer(Buffer.from(text, 'latin1'))]).toEqual([text, expected])
  }
})

it.each(['{}', '5', 'true', '"OK"', '[]', '{"ok":true}', '{"stream":""}', '{"stream":5,"seq":1}'])(
  'takes nothing for stored that no stream says to be: %s',
  (text) => {
    expect(readAnswer(Buffer.from(text))).toMatchObject({
      trouble: 'refused',
      reason: expect.stringMatching(/^the answer is no acknowledgement: /),
    })
  },
)

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
    expect(adviceFor({ trouble, stream: 'A' }, 'falco.notice.a', settings)).toMatch(
      /, will keep trying; \w+/,
    )
})
