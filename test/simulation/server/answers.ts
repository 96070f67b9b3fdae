// What a stream answers to each message. Answers get lost, late, double and out of order while that is so; otherwise
// they come in the order of the messages.

import type { Random } from '../random.ts'
import type { World } from '../world.ts'
import type { ApiError } from './api-errors.ts'
import type { Connection } from './cluster.ts'
import type { Conditions } from './conditions.ts'
import type { Facts } from './facts.ts'

export interface Publication {
  readonly connection: Connection
  readonly reply: string
  readonly number: number | undefined
  readonly id: string
  readonly expected: string | undefined
  readonly size: number
}

export function createAnswers(world: World, random: Random, facts: Facts, conditions: Conditions) {
  const { time } = world

  function send(
    { connection, reply, number }: Publication,
    data: Uint8Array,
    stored?: 'new' | 'duplicate',
  ): void {
    const { subscription = '', link, client } = connection
    const prefix = subscription.slice(0, -1)
    if (prefix === '' || !reply.startsWith(prefix)) return
    if (stored && number !== undefined) facts.answered.add(number)
    const token = reply.slice(prefix.length)
    const deliver = () => {
      connection.facts.unanswered.delete(reply)
      connection.facts.answered.add(reply)
      if (stored && number !== undefined) facts.confirmed.add(number)
      const { duplicates } = connection.facts
      if (stored && !duplicates.has(reply)) duplicates.set(reply, stored === 'duplicate')
      client.answer(token, data)
    }
    const say = () => {
      const lost = conditions.number('acks lost', 'onceIn')
      if (lost > 0 && random.onceIn(lost)) return
      link.send(deliver)
      const double = conditions.number('acks double', 'onceIn')
      if (double > 0 && random.onceIn(double)) link.send(deliver)
    }
    const within = conditions.number('acks shuffled', 'within')
    const delay = conditions.number('acks late', 'by') + (within > 0 ? random.below(within) : 0)
    if (delay > 0) time.at(time.now() + delay, say)
    else say()
  }

  return {
    send,
    acknowledge(publication: Publication, stream: string, seq: number, duplicate: boolean): void {
      const end = duplicate ? ',"duplicate": true}' : '}'
      const body = `{"stream":"${stream}","seq":${seq}${end}`
      send(publication, Buffer.from(body), duplicate ? 'duplicate' : 'new')
    },
    refuse(publication: Publication, error: ApiError, stream: string): void {
      send(publication, Buffer.from(JSON.stringify({ error, stream, seq: 0 })))
    },
  }
}
