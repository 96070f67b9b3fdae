// What the server knows of alerts, as plain data. An alert is its number.

import type { Life } from '../world.ts'

export interface Arrival {
  /** Undefined where a line has none. */
  readonly number: number | undefined
  /** One character a byte. */
  readonly line: string
  readonly subject: string
  /** In ms. */
  readonly at: number
  readonly session: number
}

export interface Stored {
  readonly number: number | undefined
  readonly id: string
  readonly at: number
  readonly sequence: number
  /** Counts the streams that had the name, from 1: one that is deleted forgets its ids. */
  readonly stream: number
  readonly session: number
}

export interface SessionFacts {
  /** From 1. */
  readonly number: number
  /** The number of its life. */
  readonly life: number
  /** Reply subjects of publications that the server has and to which no answer has come in: one for each alert in flight. */
  readonly unanswered: Set<string>
  /** Whether the client knows that it is over. */
  isOver: boolean
  /** The alerts that the server has read, each as often as it came. */
  readonly published: number[]
  /** When the server had publications with the reply subject, in ms. */
  readonly publishedAt: Map<string, number[]>
  /** Whether the first acknowledgement with the reply subject that came in was for an alert that the stream had. */
  readonly duplicates: Map<string, boolean>
  /** Others: a retry of an alert that is answered meanwhile is not in flight any more. */
  readonly answered: Set<string>
}

export type Facts = ReturnType<typeof createFacts>

export const createFacts = (maxPayload: number) => ({
  /** Core: in the order in which the server processed them. */
  arrivals: [] as Arrival[],
  /** JetStream: in the order of the streams. */
  stored: [] as Stored[],
  /** The server has said PONG, or acknowledged them. */
  answered: new Set<number>(),
  /** A living life has heard it. */
  confirmed: new Set<number>(),
  /** The server has denied their subject at least once. */
  deniedNumbers: new Set<number>(),
  /** A stream has refused their size at least once. */
  refusedNumbers: new Set<number>(),
  /** The lowest max_payload that was ever in force: an alert that is not larger is never too large. */
  lowestMaxPayload: maxPayload,
  /** The highest: no larger message may ever be written. */
  highestMaxPayload: maxPayload,
  sessions: [] as SessionFacts[],
})

export const isConnected = ({ sessions }: Facts, { number: life }: Pick<Life, 'number'>): boolean =>
  sessions.some((session) => session.life === life && !session.isOver)
