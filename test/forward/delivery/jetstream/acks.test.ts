import type { Msg } from 'nats'
import { expect, it } from 'vitest'
import { readAnswer } from '../../../../src/forward/delivery/jetstream/acks.ts'

const message = (text: string): Msg => {
  const json = <T>() => JSON.parse(text) as T
  return { data: Buffer.from(text), json } as Partial<Msg> as Msg
}

it('tells what is stored from what is not, whatever the answer', () => {
  const answers: [text: string, answer: unknown][] = [
    ['{"stream":"A", "seq":1}', 'stored'],
    ['{"stream":"A", "seq":23,"duplicate": true}', 'duplicate'],
    ['{"stream":"A","seq":4,"domain":"hub"}', 'stored'],
    ['{"stream":"A", "seq":5', { trouble: 'refused' }],
    ['{"stream":"A", "seq":5}}', { trouble: 'refused' }],
    ['{"stream":"A", "seq":5,"error":{"err_code":10060}}', { trouble: 'wrong_stream' }],
    ['{}', 'stored'],
    ['{5}', { trouble: 'refused' }],
    ['', { trouble: 'no_responders' }],
  ]
  for (const [text, answer] of answers) {
    const expected = typeof answer === 'string' ? answer : expect.objectContaining(answer)
    expect([text, readAnswer(message(text))]).toEqual([text, expected])
  }
})
