// What can go wrong with a server, whatever it serves.

import { PRIORITIES } from '../../../src/shared/alert/alert.ts'
import type { FaultKind, FaultTable, Parameters } from '../fault.ts'
import type { Random } from '../random.ts'
import type { SimulatedServer } from './server.ts'
import type { Unit } from './triggers.ts'

/** Most are short, some outlive the pings of a session. */
export const duration = (random: Random): number =>
  random.pick([50, 500, 3_000, 3_000, 10_000, 40_000]) * (0.2 + 0.8 * random.part())

/** One of the machines, or now and then each of them. */
const ALL = -1
const whichMachine = (random: Random): number => (random.onceIn(4) ? ALL : random.below(3))

function machinesOf({ cluster: { machines } }: SimulatedServer, { machine }: Parameters) {
  return machine === ALL ? machines : [machines[Number(machine) % machines.length]!]
}

/** In two of three faults it waits until the server has read `after` more bytes, or PINGs. */
export const triggered = (table: FaultTable<SimulatedServer>): FaultTable<SimulatedServer> =>
  Object.fromEntries(Object.entries(table).map(([kind, row]) => [kind, triggeredRow(row)]))

const triggeredRow = ({
  draw,
  strike,
}: FaultKind<SimulatedServer>): FaultKind<SimulatedServer> => ({
  draw: (random) => ({ ...draw(random), ...drawTrigger(random) }),
  strike(server, { after, unit, ...parameters }) {
    if (after === undefined) strike(server, parameters)
    else server.triggers.after(unit as Unit, Number(after), () => strike(server, parameters))
  },
})

function drawTrigger(random: Random): Parameters {
  const unit = random.pick<Unit | undefined>(['bytes', 'pings', undefined])
  if (unit === undefined) return {}
  return { unit, after: 1 + random.below(unit === 'pings' ? 5 : random.pick([100, 1000, 10_000])) }
}

export const SERVER_FAULTS = triggered({
  /** It dies, and has forgotten what it had not read. `silent`: no connection is closed. */
  crash: {
    draw: (random) => ({
      machine: whichMachine(random),
      ms: duration(random),
      silent: random.onceIn(4),
    }),
    strike(server, parameters) {
      for (const machine of machinesOf(server, parameters))
        server.cluster.crash(machine, Number(parameters.ms), parameters.silent === true)
    },
  },
  /** It reads nothing and answers nothing. */
  freeze: {
    draw: (random) => ({ machine: whichMachine(random), ms: duration(random) }),
    strike(server, parameters) {
      for (const machine of machinesOf(server, parameters))
        server.cluster.freeze(machine, Number(parameters.ms))
    },
  },
  /** It closes its connections. `flushes`: it says what it has to say first. */
  close: {
    draw: (random) => ({ machine: whichMachine(random), flushes: random.onceIn(2) }),
    strike(server, parameters) {
      for (const { connections } of machinesOf(server, parameters))
        for (const connection of [...connections])
          server.cluster.close(connection, parameters.flushes === true)
    },
  },
  /** It shows its clients out, and ends. */
  lameDuck: {
    draw: (random) => ({
      machine: whichMachine(random),
      ms: duration(random),
      downMs: duration(random),
    }),
    strike(server, parameters) {
      for (const machine of machinesOf(server, parameters))
        server.cluster.leave(machine, Math.ceil(Number(parameters.ms)), Number(parameters.downMs))
    },
  },
  /** max_payload changes, and is what it was after `ms`. `informs`: connected clients are told. */
  maxPayload: {
    draw: (random) => ({
      bytes: random.between(200, 1200),
      informs: random.onceIn(2),
      ms: duration(random),
    }),
    strike(server, { bytes, informs, ms }) {
      server.cluster.limit(Number(bytes), Number(ms), informs === true)
    },
  },
  /** Subjects of a priority are denied for a while. */
  deny: {
    draw: (random) => ({ prefix: `falco.${random.pick(PRIORITIES)}.`, ms: duration(random) }),
    strike(server, { prefix, ms }) {
      server.conditions.begin('deny', Number(ms), { prefix: prefix! })
    },
  },
  /** It takes nobody in, and says why. */
  refuse: {
    draw: (random) => ({
      text: random.pick(['Authorization Violation', 'maximum connections exceeded']),
      ms: duration(random),
    }),
    strike(server, { text, ms }) {
      server.conditions.begin('refuse', Number(ms), { text: text! })
    },
  },
  /** Dials have no answer. `byName`: not even for the name, until they are given up. */
  hang: {
    draw: (random) => ({ byName: random.onceIn(2), ms: duration(random) }),
    strike(server, { byName, ms }) {
      server.conditions.begin('hang', Number(ms), { byName: byName! })
    },
  },
  /** Each way takes so much longer. */
  slow: {
    draw: (random) => ({ by: random.pick([20, 200, 2_000, 8_000]), ms: duration(random) }),
    strike(server, { by, ms }) {
      server.conditions.begin('slow', Number(ms), { by: by! })
    },
  },
})
