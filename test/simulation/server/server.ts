// The simulated nats-server, or a cluster of them: `dial` and `makeStream` for each life, and what it knows of alerts.

import type { Dial } from '../../../src/forward/delivery/connector.ts'
import type { MakeStream } from '../../../src/forward/delivery/jetstream/stream.ts'
import type { Session } from '../../../src/forward/delivery/session.ts'
import type { Life, World } from '../world.ts'
import { type Cluster, type Connection, createCluster } from './cluster.ts'
import { type Conditions, createConditions } from './conditions.ts'
import { createDial } from './dial.ts'
import { createFacts, type Facts } from './facts.ts'
import { createStream, type SimulatedStream, type StreamOptions } from './stream.ts'
import { createStreamMaker } from './stream-maker.ts'
import { createTriggers, type Triggers } from './triggers.ts'

export interface ServerOptions {
  readonly mode: 'core' | 'jetstream'
  /** How many, with the addresses `10.0.0.1:4222`, `10.0.0.2:4222`, … Each announces all. */
  readonly servers: number
  readonly maxPayload: number
  /** Begins of subjects that are denied. */
  readonly denied: readonly string[]
  readonly stream: StreamOptions
  /** Whether Falco wrote the line, which has one character a byte, and it belongs on the subject. */
  readonly isLine?: (line: string, subject: string) => boolean
}

export interface SimulatedServer {
  readonly facts: Facts
  readonly addresses: readonly string[]
  dial(life: Life): Dial
  makeStream(life: Life): MakeStream
  /** The machine of the life is without power: what it has sent may not arrive. To be called before the life ends. */
  cutPower(life: Life): void
  /** Whether nothing is wrong with it. */
  isWell(): boolean
  /** From now on nothing is: every machine is up, the stream is there and has room. */
  heal(): void
  /** For faults. */
  readonly cluster: Cluster
  readonly stream: SimulatedStream
  readonly conditions: Conditions
  readonly triggers: Triggers
}

export function createServer(world: World, options: ServerOptions): SimulatedServer {
  const { mode, isLine = () => true } = options
  const conditions = createConditions(world.time.now)
  const triggers = createTriggers()
  const facts = createFacts(options.maxPayload)
  const stream = createStream(world, options.stream, facts, conditions)
  const publish = mode === 'jetstream' ? stream.publish : undefined
  const cluster = createCluster({
    ...{ ...options, world, facts, conditions, triggers, isLine, publish },
    onCrash: stream.crash,
  })
  const random = world.random('dial')
  const makerRandom = world.random('stream maker')
  const connections = new WeakMap<Session, Connection>()
  const isUp = ({ state }: { state: string }) => state === 'up'
  return {
    facts,
    addresses: cluster.addresses,
    dial: (life) =>
      createDial(world, random, life, { cluster, conditions }, (session, connection) => {
        connections.set(session, connection)
      }),
    makeStream: (life) =>
      createStreamMaker(
        world,
        makerRandom,
        life,
        { stream, conditions },
        (session) => connections.get(session)!,
      ),
    cutPower(life) {
      for (const machine of cluster.machines)
        for (const connection of machine.connections)
          if (connection.life === life) connection.link.cutPower()
    },
    isWell: () =>
      cluster.machines.every(isUp) &&
      cluster.maxPayload() === options.maxPayload &&
      !conditions.any() &&
      (mode === 'core' || stream.isWell()),
    heal() {
      world.trace(() => 'the server is well from now on')
      conditions.clear()
      triggers.clear()
      cluster.heal()
      stream.heal()
    },
    cluster,
    stream,
    conditions,
    triggers,
  }
}
