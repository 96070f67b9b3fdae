// What a script is played on: falco-nats and its server, simulated (virtual.ts) or real (real.ts).

import { held, totalDropped, totalRejected } from '../../../src/forward/accounting/counters.ts'
import type { Measured } from '../../../src/forward/telemetry/metrics.ts'
import type { AlertSpec } from '../alerts.ts'
import type { LogLine } from '../life-log.ts'

/** The stream that takes the alerts, and one that takes them in its stead. */
export const STREAM = 'FALCO'
export const OTHER_STREAM = 'OTHER'

/** Of the server; an alert may be longer. */
export const MAX_PAYLOAD = 2048
/** Subjects that begin so are denied, where the script denies any. */
export const DENIED = 'falco.warning.'

export const DUPLICATE_WINDOW_MS = 120_000

type Done = void | Promise<void>

export interface Ground {
  /** Resolves when it is so; rejects when that takes for ever. */
  until(what: string, isSo: () => boolean): Promise<void>
  /** Resolves after so many milliseconds. */
  pass(ms: number): Promise<void>
  /** The last life that was started. */
  life(): LifeSeen
  start(): void
  /** The first signal. */
  stop(): void
  /** kill -9. */
  kill(): void
  /** One write into the pipe. */
  write(alerts: readonly AlertSpec[]): void
  /** How many alerts the server has processed; JetStream: stored, each once. */
  taken(): number
  readonly way: Way
  readonly server: Server
  readonly stream: Stream
  /** Closes it down, and says what the server has. */
  end(): Promise<Seen>
}

/** Between falco-nats and the server, as far as the one connection goes that is open now. */
export interface Way {
  /** From now on nothing that the server says arrives, until `release` or the end of the connection. */
  hold(): void
  release(): void
  cut(): void
  /**
   * Nothing that the server says arrives any more, and the connection ends behind the next `after` messages and the
   * part `part` of what follows them.
   */
  cutAt(after: number, part: number): void
  /** What becomes of acknowledgements. */
  acks(fate: AckFate): void
  /** The connection is cut, and dials are refused. */
  block(): void
  unblock(): Done
}

export type AckFate = 'arrive' | 'get lost' | 'double' | 'in another order'

/** Only for scripts with a server of their own. */
export interface Server {
  /** kill -9; dials are refused. */
  crash(): Done
  /** A lame duck, which ends; dials are refused. */
  leave(): Done
  start(): Done
  setMaxPayload(bytes: number): Done
}

export interface Stream {
  make(name: string, duplicateWindowMs?: number): Done
  remove(): Done
  /** It takes so many messages more, and refuses what is new then. */
  fill(room: number): Done
  /** Without a limit again. */
  purge(): Done
}

/** What is known of a life, while it lasts and after it. */
export interface LifeSeen {
  readonly log: readonly LogLine[]
  /** Undefined until it reads. */
  books(): Books | undefined
  end(): 'exit 0' | 'exit 1' | 'kill' | undefined
}

export type Books = ReturnType<typeof booksOf>

export function booksOf({ counters, vitals }: Measured) {
  const { read, restored, delivered, duplicates, unreadable, spooled } = counters
  return {
    ...{ read, restored, delivered, duplicates, unreadable, spooled },
    rejected: totalRejected(counters),
    dropped: totalDropped(counters),
    held: held(counters),
    inFlight: vitals.inFlightAlerts,
  }
}

export interface Seen {
  /** The numbers of all that arrived or was stored, in order. */
  readonly stored: readonly number[]
  /** By number: how often the server read the alert. */
  readonly sent: ReadonlyMap<number, number>
}
