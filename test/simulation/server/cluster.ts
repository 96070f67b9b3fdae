// The nats-servers of a cluster, and the connections to them. A machine processes what it reads at once; what it has
// not read when it dies is forgotten.

import type { Server } from '../../../src/shared/nats/servers.ts'
import type { Life, World } from '../world.ts'
import type { Conditions } from './conditions.ts'
import type { Facts, SessionFacts } from './facts.ts'
import { createLink, type Link } from './link.ts'
import type { Message } from './protocol.ts'
import { createServerEnd } from './server-end.ts'
import { type ClientEnd, createClientEnd } from './session.ts'
import type { Triggers } from './triggers.ts'

export interface Machine {
  readonly address: string
  /** `leaving`: a lame duck, which takes nobody in. */
  state: 'up' | 'frozen' | 'leaving' | 'down'
  /** Counts its states, so that the end of one does not end a later one. */
  states: number
  readonly connections: Set<Connection>
}

export interface Connection {
  readonly life: Life
  readonly machine: Machine
  readonly link: Link
  readonly client: ClientEnd
  readonly facts: SessionFacts
  /** Where its answers go, with a `*` at the end; undefined until the server knows. */
  subscription: string | undefined
}

export type Cluster = ReturnType<typeof createCluster>

export interface ClusterOptions {
  readonly world: World
  readonly facts: Facts
  readonly conditions: Conditions
  readonly triggers: Triggers
  readonly servers: number
  readonly maxPayload: number
  /** Begins of subjects. */
  readonly denied: readonly string[]
  readonly isLine: (line: string, subject: string) => boolean
  /** JetStream takes the messages, or undefined: each is counted as it arrives. */
  readonly publish:
    | ((connection: Connection, message: Message, number: number | undefined) => void)
    | undefined
  /** A machine has died. */
  readonly onCrash: () => void
}

export function createCluster(options: ClusterOptions) {
  const { world, facts, conditions, triggers, denied, onCrash } = options
  const { time } = world
  const random = world.random('server')
  const machines = Array.from(
    { length: options.servers },
    (_, index): Machine => ({
      address: `10.0.0.${index + 1}:4222`,
      state: 'up',
      states: 0,
      connections: new Set(),
    }),
  )
  const addresses = machines.map(({ address }) => address)
  let { maxPayload } = options
  /** Counts its changes. */
  let limits = 0

  const isDenied = (subject: string): boolean => {
    const prefix = conditions.get('deny')?.prefix
    return (
      denied.some((each) => subject.startsWith(each)) ||
      (typeof prefix === 'string' && subject.startsWith(prefix))
    )
  }

  function accept(life: Life, machine: Machine, server: Server): Connection {
    const number = facts.sessions.length + 1
    const ownRandom = world.random(`connection ${number}`)
    const base = ownRandom.onceIn(10) ? ownRandom.between(20, 80) : 0.1 + 2 * ownRandom.part()
    const link = createLink({
      world,
      life,
      random: ownRandom,
      latency: () => base * (0.5 + ownRandom.part()) + conditions.number('slow', 'by'),
      readable: () => (machine.state === 'frozen' ? 0 : triggers.bytesLeft()),
      receive: (chunk) => receive(chunk),
      isHeard: () => client.isHeard(),
      onVain: () => reset(connection),
    })
    // In a cluster a server announces itself, too.
    const discovered = addresses.length > 1 ? addresses : []
    const client = createClientEnd({
      ...{ world, life, random: ownRandom, link, server, number, maxPayload, discovered },
      onEnd: () => {
        sessionFacts.isOver = true
      },
    })
    const sessionFacts: SessionFacts = {
      number,
      life: life.number,
      isOver: false,
      unanswered: new Set(),
      published: [],
      publishedAt: new Map(),
      duplicates: new Map(),
      answered: new Set(),
    }
    const connection: Connection = {
      ...{ life, machine, link, client, facts: sessionFacts },
      subscription: undefined,
    }
    const { receive } = createServerEnd(options, connection, {
      maxPayload: () => maxPayload,
      isDenied,
      onTooLarge: () => close(connection, true, 'Maximum Payload Violation'),
    })
    for (const each of machine.connections)
      if (each.link.hasLeft() && each.link.queued() === 0) machine.connections.delete(each)
    machine.connections.add(connection)
    facts.sessions.push(sessionFacts)
    world.trace(() => `session ${number} of life ${life.number} is open with ${machine.address}`)
    return connection
  }

  /** `flush`: the client hears all that was said before. */
  function close(
    connection: Connection,
    flush: boolean,
    why = random.pick(['the server closed the connection', 'read ECONNRESET']),
  ): void {
    const { link, client, machine } = connection
    link.closeByServer(flush, () => client.lose(why))
    machine.connections.delete(connection)
  }

  /** The machine lost a connection without a word: it says so when it is asked, once it is there again. */
  function reset({ machine, client }: Connection): void {
    if (machine.state === 'down') return
    time.at(
      time.now() + random.between(1, 20),
      () => client.isHeard() && client.lose('read ECONNRESET'),
    )
  }

  /** The end of the state after `ms`, unless another has begun. */
  function enter(machine: Machine, state: Machine['state'], ms: number, end: () => void): void {
    machine.state = state
    const current = ++machine.states
    world.trace(() => `${machine.address} is ${state}`)
    time.at(time.now() + ms, () => machine.states === current && end())
  }

  function start(machine: Machine): void {
    if (machine.state === 'up') return
    machine.state = 'up'
    machine.states++
    world.trace(() => `${machine.address} is up`)
    for (const { link } of machine.connections) link.resume()
  }

  function setMaxPayload(bytes: number, informs: boolean): void {
    if (bytes === maxPayload) return
    maxPayload = bytes
    world.trace(() => `max_payload is ${bytes}`)
    if (!informs) return
    for (const { connections } of machines)
      for (const { link, client } of connections) link.send(() => client.info(bytes))
  }

  return {
    machines,
    addresses,
    accept,
    close,
    start,
    maxPayload: () => maxPayload,
    isDenied,
    /** It dies, and starts again after `ms`. `silent`: no connection is closed, as when its power fails. */
    crash(machine: Machine, ms: number, silent: boolean): void {
      for (const connection of [...machine.connections])
        if (silent) connection.link.closeByServer(false, undefined)
        else close(connection, false, 'read ECONNRESET')
      machine.connections.clear()
      onCrash()
      enter(machine, 'down', ms, () => start(machine))
    },
    /** It reads nothing and answers nothing. */
    freeze(machine: Machine, ms: number): void {
      if (machine.state === 'up') enter(machine, 'frozen', ms, () => start(machine))
    },
    /** A lame duck: it shows its clients out within `ms`, ends, and is back after `downMs`. */
    leave(machine: Machine, ms: number, downMs: number): void {
      if (machine.state !== 'up') return
      for (const connection of machine.connections) {
        const { link, client } = connection
        link.send(() => client.info(maxPayload))
        time.at(time.now() + random.below(ms), () => close(connection, true))
      }
      enter(machine, 'leaving', ms, () => {
        for (const connection of [...machine.connections]) close(connection, true)
        onCrash()
        enter(machine, 'down', downMs, () => start(machine))
      })
    },
    /**
     * Another max_payload for `ms`. `informs`: the clients are told. nats-server 2.9 and 2.14 tell only those that
     * connect later, or end the connection at the first message that is too large.
     */
    limit(bytes: number, ms: number, informs: boolean): void {
      setMaxPayload(bytes, informs)
      facts.highestMaxPayload = Math.max(facts.highestMaxPayload, bytes)
      facts.lowestMaxPayload = Math.min(facts.lowestMaxPayload, bytes)
      const limit = ++limits
      time.at(time.now() + ms, () => limit === limits && setMaxPayload(options.maxPayload, informs))
    },
    /** Those at the addresses are gone for good. */
    retire(gone: readonly string[]): void {
      for (const machine of machines)
        if (gone.includes(machine.address)) this.crash(machine, Number.POSITIVE_INFINITY, false)
    },
    heal(): void {
      limits++
      setMaxPayload(options.maxPayload, true)
      for (const machine of machines) {
        start(machine)
      }
    },
  }
}
