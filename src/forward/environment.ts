// Everything outside that delivery touches, made in one place and handed in. A simulation hands in a world of its own.

import type { NatsConnection } from 'nats'
import { type Clock, systemClock } from '../shared/clock.ts'
import type { Logger } from '../shared/log.ts'
import { expiredIn, identityOf, readCredentials } from '../shared/nats/credentials.ts'
import type { Address } from '../shared/options/parsers.ts'
import { bug, saveAtBug } from '../shared/process/end.ts'
import type { Spool } from './buffer/spool/spool.ts'
import type { Dial } from './delivery/connector.ts'
import type { StreamSettings } from './delivery/jetstream/stream-settings.ts'
import { openSession, type Session } from './delivery/session.ts'
import type { Inputs } from './input/input.ts'
import { systemInputs } from './input/system-inputs.ts'
import type { Config } from './options.ts'
import { openTelemetry, type Telemetry } from './telemetry/telemetry.ts'

export interface Environment {
  readonly clock: Clock
  /** As Math.random. */
  random(): number
  readonly inputs: Inputs
  readonly dial: Dial
  /** What may be the reason of a refusal beside what servers say. */
  whyRefused(): string | undefined
  loadJetStream(): Promise<typeof import('./delivery/jetstream/jetstream.ts')>
  /** Makes the stream unless one has its name: whether it did. Rejects with the server's reason. */
  makeStream(session: Session, settings: StreamSettings): Promise<boolean>
  openSpool(directory: string, limitBytes: number): Promise<Spool>
  openTelemetry(address: Address, log: Logger): Promise<Telemetry>
  /** Ends the process after an error that only a bug explains, with the step that was given to `saveAtBug`. */
  bug(error: unknown): never
  saveAtBug(step: ((why: string) => void) | undefined): void
}

/** The system's. JetStream and SQLite are loaded only where they are used. */
export function systemEnvironment(config: Config): Environment {
  const identity = identityOf(config, 'falco-nats')
  const connections = new WeakMap<Session, NatsConnection>()
  return {
    clock: systemClock,
    random: Math.random,
    inputs: systemInputs,
    async dial(server, signal) {
      const session = await openSession(server, readCredentials(config, server), identity, signal)
      connections.set(session, session.connection)
      return session
    },
    whyRefused: () => expiredIn(config),
    loadJetStream: () => import('./delivery/jetstream/jetstream.ts'),
    async makeStream(session, settings) {
      const { makeIfMissing } = await import('./delivery/jetstream/stream.ts')
      return await makeIfMissing(connections.get(session)!, settings)
    },
    async openSpool(directory, limitBytes) {
      const { openSpool } = await import('./buffer/spool/spool.ts')
      return await openSpool(directory, limitBytes)
    },
    openTelemetry,
    bug,
    saveAtBug,
  }
}
