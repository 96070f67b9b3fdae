// Playbooks on the alerts of a JetStream stream, with the consumers that they share.

import { connect } from 'nats'
import { consume } from '../../src/respond/intake/workers.ts'
import type { Playbook } from '../../src/respond/playbook/playbook.ts'
import { type Engine, SUBJECT } from './engine.ts'
import { numberedAlert } from './fixtures.ts'
import { askJetStream, createStream, type NatsServer, startNats } from './nats.ts'
import { tempDir } from './temp.ts'
import { until } from './wait.ts'

export async function publish(url: string, count: number, subject = SUBJECT): Promise<void> {
  await using connection = await connect({ servers: url })
  for (let n = 0; n < count; n++) connection.publish(subject, numberedAlert(n))
  await connection.flush()
}

interface ConsumerState {
  readonly num_ack_pending: number
  readonly num_pending: number
  readonly ack_floor: { readonly stream_seq: number }
  readonly config: Record<string, unknown>
}
export const consumerState = async (url: string, name = 'falco-nats-test') =>
  (await askJetStream(url, `CONSUMER.INFO.ALERTS.${name}`)) as unknown as ConsumerState

/** Nothing is pending, and nothing is unacknowledged. */
export const allAcknowledged = (url: string, name?: string) =>
  until('all is acknowledged', async () => {
    const { num_ack_pending, num_pending } = await consumerState(url, name)
    return num_ack_pending + num_pending === 0
  })

export function start(engine: Engine, playbook: Playbook, stop = engine.stop.signal) {
  const { connection, settle, metrics, logger: log } = engine
  const name = `falco-nats-${playbook.name}`
  return consume({ connection, playbook, name, settle, metrics, stream: undefined, log, stop })
}

export const bound = (engine: Engine, count = 1) =>
  until(
    'the consumers are bound',
    () => engine.log().filter(({ msg }) => msg === 'waiting for alerts').length >= count,
  )

export const isDone = (engine: Engine, count: number) =>
  until(
    `${count} outcomes (there are ${engine.reported.length})`,
    () => engine.reported.length >= count,
  )

/** A server with JetStream, and the stream ALERTS unless `stream` is false. */
export async function withJetStream(
  act: (server: NatsServer) => Promise<void>,
  { program = 'nats-server', stream = true } = {},
): Promise<void> {
  using dir = tempDir()
  await using server = await startNats(`jetstream { store_dir: "${dir.path}" }`, { program })
  if (stream) await createStream(server.url)
  await act(server)
}

const NEW = process.env.NATS_SERVER_NEW
if (NEW === undefined)
  console.warn('skipped: consuming from a newer nats-server, since NATS_SERVER_NEW names none')

/** Name and program of each generation of nats-server; undefined: it is not there. */
export const GENERATIONS: [name: string, program: string | undefined][] = [
  ['2.9', 'nats-server'],
  ['a newer one', NEW],
]
