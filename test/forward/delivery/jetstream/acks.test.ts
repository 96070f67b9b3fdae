import type { Msg } from 'nats'
import { expect, it } from 'vitest'
import { createAnswerReader } from '../../../../src/forward/delivery/jetstream/acks.ts'

const message = (text: string): Msg => {
  const json = <T>() => JSON.parse(text) as T
  return { data: Buffer.from(text), json } as Partial<Msg> as Msg
}

it('reads an answer the same whatever came before it', () => {
  const answers: [text: string, answer: unknown][] = [
    ['{"stream":"A", "seq":1}', 'stored'],
    ['{"stream":"A", "seq":23}', 'stored'],
    ['{"stream":"A", "seq":23,"duplicate": true}', 'duplicate'],
    ['{"stream":"B", "seq":4}', 'stored'],
    ['{"stream":"A","seq":4,"domain":"hub"}', 'stored'],
    ['{"stream":"A", "seq":5', { trouble: 'refused' }],
    ['{"stream":"A", "seq":}', { trouble: 'refused' }],
    ['{"stream":"A", "seq":5}}', { trouble: 'refused' }],
    ['{"stream":"A", "seq":5,"error":{"err_code":10060}}', { trouble: 'wrong_stream' }],
    ['{}', 'stored'],
    ['{5}', { trouble: 'refused' }],
    ['5}', { trouble: 'refused' }],
    ['', { trouble: 'no_responders' }],
  ]
  const read = createAnswerReader()
  for (const [before] of answers)
    for (const [text, answer] of answers) {
      read(message(before))
      const expected = typeof answer === 'string' ? answer : expect.objectContaining(answer)
      expect([before, text, read(message(text))]).toEqual([before, text, expected])
    }
})
