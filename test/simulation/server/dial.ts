// Dials: refused, late, without an answer, or a session.

import type { Dial } from '../../../src/forward/delivery/connector.ts'
import type { Session } from '../../../src/forward/delivery/session.ts'
import type { Random } from '../random.ts'
import type { Life, World } from '../world.ts'
import type { Cluster, Connection } from './cluster.ts'
import type { Conditions } from './conditions.ts'

/** As dial.ts has it, for each address. */
const DIAL_TIMEOUT_MS = 5_000
/** In 10 s backing off leaves nine rounds, each of three servers. */
const DIALS_MAX = 40
/** A new one each time: one for all would keep whatever waits for it. */
const never = () => new Promise<never>(() => {})

export function createDial(
  world: World,
  random: Random,
  life: Life,
  { cluster, conditions }: { cluster: Cluster; conditions: Conditions },
  onSession: (session: Session, connection: Connection) => void,
): Dial {
  const { time } = world
  /** Since the last session. */
  let dialledAt: number[] = []
  return (server, signal) => {
    if (life.isAlive()) life.step()
    if (!life.isAlive()) return never()
    dialledAt.push(time.now())
    if (time.now() - (dialledAt.at(-DIALS_MAX) ?? Number.NEGATIVE_INFINITY) < 10_000)
      world.violated('patience', `${DIALS_MAX} dials within 10 s`)
    const machine = cluster.machines.find(({ address }) => address === server.address)
    const { promise, resolve, reject } = Promise.withResolvers<Session>()
    let isOver = false
    const settle = (step: () => void) => {
      if (isOver || !life.isAlive()) return
      isOver = true
      step()
    }
    const fail = (reason: string) => () => settle(() => reject(new Error(reason)))
    const after = (ms: number, step: () => void) => time.at(time.now() + ms, step)

    function knock(): void {
      const refusal = conditions.get('refuse')?.text
      const hang = conditions.get('hang')
      // A name that is not resolved has no limit of its own.
      if (hang?.byName === true) return
      if (hang || machine?.state === 'frozen') after(DIAL_TIMEOUT_MS, fail('timeout'))
      else if (machine?.state !== 'up') fail('connection refused')()
      else if (typeof refusal === 'string') fail(refusal)()
      else after(random.below(5), open)
    }

    function open(): void {
      if (machine?.state === 'frozen') after(DIAL_TIMEOUT_MS, fail('timeout'))
      else if (machine?.state !== 'up') fail('connection refused')()
      else
        settle(() => {
          dialledAt = []
          const connection = cluster.accept(life, machine, server)
          const { session } = connection.client
          onSession(session, connection)
          resolve(session)
        })
    }

    const giveUp = () => settle(() => reject(signal.reason))
    if (signal.aborted) giveUp()
    else {
      signal.addEventListener('abort', giveUp)
      after(random.onceIn(10) ? random.between(100, 3000) : random.below(20), knock)
    }
    return promise
  }
}
