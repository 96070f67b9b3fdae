// A real nats-server, FIFO and spool, and falco-nats in a process of its own, as the ground of a script.

import { closeSync, constants, openSync, writeSync } from 'node:fs'
import { setTimeout as delay } from 'node:timers/promises'
import { type ConnectionOptions, connect, type NatsConnection } from 'nats'
import { type NatsServer, startNats } from '../../support/nats.ts'
import { tempDir } from '../../support/temp.ts'
import { until } from '../../support/wait.ts'
import { lineOf, numberIn } from '../alerts.ts'
import { argumentsOf } from './command-line.ts'
import { type Ground, STREAM } from './ground.ts'
import type { Hosts, RealLife } from './hosts.ts'
import { startProxy } from './proxy.ts'
import { adminOf, serverConfig } from './real-server.ts'
import { createRealStream } from './real-stream.ts'
import type { Script } from './script.ts'

/** A server that is up answers sooner. */
const ANSWER_MS = 200

interface Surroundings {
  readonly hosts: Hosts
  /** The server of all scripts that have none of their own. */
  readonly shared: NatsServer
  /** For those that have. */
  readonly program: string
}

export async function openReal(
  script: Script,
  { hosts, shared, program }: Surroundings,
): Promise<Ground & AsyncDisposable> {
  await using stack = new AsyncDisposableStack()
  const dir = stack.use(tempDir())
  const { jetstream, streamExists, ownServer } = script.config
  const configFor = (maxPayload?: number) =>
    serverConfig(dir.file('jetstream'), [script], maxPayload)
  const server = ownServer ? stack.use(await startNats(configFor(), { program })) : shared
  const { url } = server
  const admin = { servers: url, ...adminOf(script) }
  const proxy = stack.use(await startProxy(server.port, script.seed))
  const reconnecting = { maxReconnectAttempts: -1, reconnectTimeWait: 10, reconnectJitter: 0 }
  const connection = stack.use(await connect({ ...admin, ...reconnecting }))
  const arrived: number[] = []
  // With a subscriber, JetStream would not say that nobody responds.
  if (!jetstream)
    connection.subscribe('falco.>', {
      callback: (_, { data }) => void arrived.push(numberIn(Buffer.from(data).toString('latin1'))!),
    })
  await connection.flush()
  const stream = createRealStream(url, script)
  if (jetstream && streamExists) await stream.make(STREAM)
  const pipe = dir.file('pipe')
  const places = { pipe, address: proxy.address, spool: dir.file('spool') }
  let life: RealLife
  const opened = stack.move()
  return {
    until: (what, isSo) => until(what, isSo).then(() => {}),
    pass: (ms) => delay(ms),
    life: () => life,
    start() {
      life = hosts.start(argumentsOf(script, places))
    },
    stop: () => life.stop(),
    kill: () => life.kill(),
    write(alerts) {
      const fd = openSync(pipe, constants.O_WRONLY | constants.O_NONBLOCK)
      writeSync(fd, alerts.map((alert) => `${lineOf(alert)}\n`).join(''))
      closeSync(fd)
    },
    taken: () => (jetstream ? proxy.stored() : arrived.length),
    way: proxy.way,
    server: {
      async crash() {
        proxy.refuse()
        await server.stop('SIGKILL')
      },
      async leave() {
        proxy.refuse()
        server.lameDuck()
        // Waits for its end.
        await server.stop('SIGCONT')
      },
      async start() {
        await server.start()
        await until('the subscriber is back', () => isBack(connection))
        await proxy.listen()
      },
      async setMaxPayload(bytes) {
        server.reload(configFor(bytes))
        await until('max_payload is another', () => hasMaxPayload(bytes, admin))
        proxy.setMaxPayload(bytes)
      },
    },
    stream,
    async end() {
      return { stored: jetstream ? await stream.everything() : arrived, sent: proxy.sent }
    },
    [Symbol.asyncDispose]: () => opened.disposeAsync(),
  }
}

/** False where it does not answer yet. */
async function isBack(connection: NatsConnection): Promise<boolean> {
  const answered = connection.flush().then(
    () => true,
    () => false,
  )
  return await Promise.race([answered, delay(ANSWER_MS, false)])
}

async function hasMaxPayload(bytes: number, options: ConnectionOptions): Promise<boolean> {
  try {
    await using connection = await connect({ ...options, timeout: ANSWER_MS })
    return connection.info?.max_payload === bytes
  } catch {
    // A connection may hang that comes while the server reads its configuration.
    return false
  }
}
