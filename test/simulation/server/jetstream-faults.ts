// What can go wrong with JetStream, while its server is well.

import type { FaultKind } from '../fault.ts'
import type { Random } from '../random.ts'
import { duration, triggered } from './faults.ts'
import type { SimulatedServer } from './server.ts'

/** A condition of that name for a while. */
function whileItLasts(
  name: string,
  draw: (random: Random) => Record<string, number | string | boolean> = () => ({}),
): FaultKind<SimulatedServer> {
  return {
    draw: (random) => ({ ms: duration(random), ...draw(random) }),
    strike({ conditions }, { ms, ...parameters }) {
      conditions.begin(name, Number(ms), parameters)
    },
  }
}

/** Of the publications, one in `onceIn` is refused, with one of the codes. */
const refusing = (...errors: (readonly [code: number, text?: string])[]) =>
  whileItLasts('refuse publications', (random) => {
    const [code, text] = random.pick(errors)
    return { onceIn: random.pick([1, 1, 2, 5]), code, ...(text !== undefined && { text }) }
  })

export const JETSTREAM_FAULTS = triggered({
  acksLate: whileItLasts('acks late', (random) => ({
    by: random.pick([10, 200, 2_000, 7_000, 12_000]),
  })),
  acksLost: whileItLasts('acks lost', (random) => ({ onceIn: random.pick([1, 2, 5]) })),
  acksDouble: whileItLasts('acks double', (random) => ({ onceIn: random.pick([1, 3]) })),
  acksShuffled: whileItLasts('acks shuffled', (random) => ({
    within: random.pick([20, 300, 6_000]),
  })),
  full: refusing([10077, 'maximum messages exceeded'], [10077, 'maximum bytes exceeded']),
  outOfStorage: refusing(
    [10023],
    [10047],
    [10002],
    [10077, 'write /data/jetstream/1.blk: no space left on device'],
  ),
  tooManyRequests: refusing([10167]),
  unavailable: refusing([10008], [10118]),
  /** Sealed, or a code that nobody knows. */
  refused: refusing([10109], [19999, 'something new']),
  /** The stream takes only smaller messages: those that are larger are refused for good. */
  smallMessages: whileItLasts('small messages', (random) => ({ bytes: random.between(150, 900) })),
  /** Another stream takes the subjects; it matters where `--stream` names ours. */
  wrongStream: whileItLasts('wrong stream'),
  /** JetStream is off: nobody responds. */
  off: whileItLasts('off'),
  /** Messages wait before they are stored. `clustered`: an id that waits is refused, not queued again. */
  slowStore: whileItLasts('slow store', (random) => ({ clustered: random.onceIn(2) })),
  /** makeStream is refused. */
  refuseStreams: whileItLasts('refuse streams', (random) => ({
    code: random.pick([10023, 10047, 10027, 10008, 10076]),
  })),
  /** The stream is deleted, with what is in it, and made again after `ms`, if not by us before. */
  deleteStream: {
    draw: (random) => ({ ms: duration(random) }),
    strike({ stream }, { ms }) {
      stream.remove(Number(ms))
    },
  },
  /** There is no leader for `ms`: what was not acknowledged is lost, or stored without an acknowledgement. */
  leaderChange: {
    draw: (random) => ({
      ms: duration(random),
      how: random.pick(['no responders', 'no answer', 'unavailable']),
    }),
    strike({ stream }, { ms, how }) {
      stream.elect(Number(ms), String(how))
    },
  },
})
