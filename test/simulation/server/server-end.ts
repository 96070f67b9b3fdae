// The server's end of a connection: what it does with each command, and what it says to it.

import { numberIn } from '../alerts.ts'
import type { ClusterOptions, Connection } from './cluster.ts'
import { createParser } from './protocol.ts'

export function createServerEnd(
  { world, facts, triggers, isLine, publish }: ClusterOptions,
  connection: Connection,
  limits: {
    maxPayload: () => number
    isDenied: (subject: string) => boolean
    onTooLarge: () => void
  },
) {
  const { link, client } = connection
  const { number: session, unanswered } = connection.facts
  /** Core: alerts that arrived, and how many of them the client knows of. */
  const arrived: number[] = []
  let known = 0

  const parser = createParser({
    fits(size) {
      if (size <= limits.maxPayload()) return true
      if (size > facts.highestMaxPayload) world.violated('protocol', `a message of ${size} bytes`)
      limits.onTooLarge()
      return false
    },
    publish(message) {
      const { payload: line, subject, reply } = message
      const number = numberIn(line)
      if (number !== undefined) connection.facts.published.push(number)
      if (!isLine(line, subject))
        world.violated('payload', `on ${subject} the server reads what it must not get: ${line}`)
      if (limits.isDenied(subject)) {
        if (number !== undefined) facts.deniedNumbers.add(number)
        if (reply !== undefined) unanswered.delete(reply)
        link.send(() => client.denial(subject))
      } else if (publish) publish(connection, message, number)
      else {
        facts.arrivals.push({ number, line, subject, at: world.time.now(), session })
        world.trace(() => `server processes alert ${number} of session ${session}`)
        if (number !== undefined) arrived.push(number)
      }
    },
    subscribe(subject) {
      connection.subscription = subject
    },
    ping() {
      const upTo = arrived.length
      for (let index = known; index < upTo; index++) facts.answered.add(arrived[index]!)
      link.send(() => {
        for (; known < upTo; known++) facts.confirmed.add(arrived[known]!)
        client.pong()
      })
      triggers.count('pings', 1)
      stopIfClosed()
    },
    wrong: (detail) => world.violated('protocol', detail),
  })

  /** A trigger may have ended the connection. */
  function stopIfClosed(): void {
    if (link.isClosed()) parser.stop()
  }

  return {
    receive(chunk: Buffer): void {
      parser.take(chunk)
      triggers.count('bytes', chunk.length)
      stopIfClosed()
    },
  }
}
