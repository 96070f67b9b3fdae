// makeStream of a life: asks for the stream and makes it where it is missing, as makeIfMissing does.

import { JetStreamApiError } from '@nats-io/jetstream'
import type { MakeStream } from '../../../src/forward/delivery/jetstream/stream.ts'
import type { Session } from '../../../src/forward/delivery/session.ts'
import type { Random } from '../random.ts'
import type { Life, World } from '../world.ts'
import { apiError } from './api-errors.ts'
import type { Connection } from './cluster.ts'
import type { Conditions } from './conditions.ts'
import type { SimulatedStream } from './stream.ts'

/** The client's, for each request. */
const REQUEST_TIMEOUT_MS = 5_000
const UNLIMITED = Number.POSITIVE_INFINITY
/** A new one each time: one for all would keep whatever waits for it. */
const never = () => new Promise<never>(() => {})

export function createStreamMaker(
  world: World,
  random: Random,
  life: Life,
  { stream, conditions }: { stream: SimulatedStream; conditions: Conditions },
  connectionOf: (session: Session) => Connection,
): MakeStream {
  const { time } = world

  /** One request: resolves with what `act` returns at the server. */
  function request<T>({ link, machine, client }: Connection, act: () => T): Promise<T> {
    if (life.isAlive()) life.step()
    if (!life.isAlive()) return never()
    const { promise, resolve, reject } = Promise.withResolvers<T>()
    const tell = (step: () => void) => () => life.isAlive() && step()
    const after = (ms: number, step: () => void) => time.at(time.now() + ms, step)
    const timeout = after(
      REQUEST_TIMEOUT_MS,
      tell(() => reject(new Error('timeout'))),
    )
    void client.session.closed.then(tell(() => reject(new Error('closed connection'))))
    after(random.between(1, random.onceIn(10) ? 2000 : 20), () => {
      if (link.hasLeft() || link.isClosed() || machine.state === 'frozen') return
      try {
        const answer = act()
        if (conditions.get('acks lost')) return
        timeout[Symbol.dispose]()
        link.send(() => resolve(answer))
      } catch (error) {
        timeout[Symbol.dispose]()
        link.send(() => reject(error))
      }
    })
    return promise
  }

  /** Throws where JetStream is of no use now. */
  function checkUse(): void {
    const code = conditions.number('refuse streams', 'code')
    if (code > 0) throw new JetStreamApiError(apiError(code))
    if (conditions.get('off')) throw new Error('jetstream is not enabled')
    if (conditions.get('leaderless')) throw new JetStreamApiError(apiError(10008))
  }

  return async (session, settings) => {
    const connection = connectionOf(session)
    const isThere = await request(connection, () => {
      checkUse()
      return stream.exists() && stream.name() === settings.name
    })
    if (isThere) return false
    return await request(connection, () => {
      checkUse()
      if (stream.exists() && stream.name() === settings.name) return false
      if (stream.exists())
        throw new JetStreamApiError(apiError(10065, 'subjects overlap with an existing stream'))
      const { name, subject, duplicateWindowMs } = settings
      stream.make({
        ...{ name, subjects: [subject], duplicateWindowMs },
        // Ours has none of the limits of one that was there before.
        ...{ discardNew: false, maxMsgs: UNLIMITED, maxMsgSize: UNLIMITED },
      })
      return true
    })
  }
}
