// A real nats-server, FIFO and spool, and falco-nats in a process of its own, as the ground of a script.

import { closeSync, constants, openSync, writeSync } from 'node:fs'
import { setTimeout as delay } from 'node:timers/promises'
import { type ConnectionOptions, connect, type NatsConnection } from 'nats'
import { askJetStream, type NatsServer, readStream, startNats } from '../../support/nats.ts'
import { tempDir } from '../../support/temp.ts'
import { until } from '../../support/wait.ts'
import { lineOf, numberIn } from '../alerts.ts'
import { type Ground, STREAM } from './ground.ts'
import type { Hosts, RealLife } from './hosts.ts'
import { startProxy } from './proxy.ts'
import { configOf, DENIED, MAX_PAYLOAD, type Script } from './script.ts'

const PASSWORD = 'secret'
const FOREVER_MS = 60_000
/** A server that is up answers sooner. */
const ANSWER_MS = 200

/** One account for each script, with a user who may not do everything, and one who may. */
function configFor(storeDir: string, scripts: readonly Script[], maxPayload = MAX_PAYLOAD): string {
  const accounts = scripts.map(({ seed, config }) => {
    const denied = config.denies ? `, permissions: { publish: { deny: ["${DENIED}>"] } }` : ''
    const users = `{ user: falco${seed}, password: ${PASSWORD}${denied} }, { user: admin${seed}, password: ${PASSWORD} }`
    return `S${seed}: { ${config.jetstream ? 'jetstream: enabled, ' : ''}users: [${users}] }`
  })
  return `max_payload: ${maxPayload}
    jetstream { store_dir: "${storeDir}" }
    lame_duck_duration: "30s", lame_duck_grace_period: "1ms"
    accounts { ${accounts.join('\n')} }`
}

/** A server for many scripts. */
export async function startShared(scripts: readonly Script[], program: string) {
  const dir = tempDir()
  const server = await startNats(configFor(dir.path, scripts), { program })
  return {
    ...server,
    async [Symbol.asyncDispose]() {
      await server[Symbol.asyncDispose]()
      dir[Symbol.dispose]()
    },
  }
}

export async function openReal(
  script: Script,
  { hosts, shared, program }: { hosts: Hosts; shared: NatsServer; program: string },
): Promise<Ground & AsyncDisposable> {
  await using stack = new AsyncDisposableStack()
  const dir = stack.use(tempDir())
  const { seed, config } = script
  const { jetstream } = config
  const store = dir.file('jetstream')
  const server = config.ownServer
    ? stack.use(await startNats(configFor(store, [script]), { program }))
    : shared
  const admin = { user: `admin${seed}`, pass: PASSWORD }
  const proxy = stack.use(await startProxy(server.port))
  const arrived: number[] = []
  const connection = stack.use(
    await connect({
      ...{ servers: server.url, ...admin, maxReconnectAttempts: -1 },
      ...{ reconnectTimeWait: 10, reconnectJitter: 0, noAsyncTraces: true },
    }),
  )
  // JetStream would not say that nobody responds.
  if (!jetstream)
    connection.subscribe('falco.>', {
      callback: (_, { data }) => void arrived.push(numberIn(Buffer.from(data).toString('latin1'))!),
    })
  await connection.flush()
  const ask = (operation: string, request = {}) =>
    askJetStream(server.url, operation, request, admin)
  /** Of streams that are gone. */
  const stored: number[] = []
  let streamName = STREAM

  async function collect(): Promise<void> {
    for (const { data } of await readStream(server.url, streamName, admin))
      stored.push(numberIn(data.toString('latin1'))!)
  }

  const settings = (name: string) => ({
    ...{ name, subjects: ['falco.>'], storage: 'file', retention: 'limits' },
    ...(config.maxMsgSize > 0 && { max_msg_size: config.maxMsgSize }),
  })
  const make = async (name: string) => {
    streamName = name
    await ask(`STREAM.CREATE.${name}`, settings(name))
  }
  const change = async (more: object) => {
    const { config: now } = await ask(`STREAM.INFO.${STREAM}`)
    await ask(`STREAM.UPDATE.${STREAM}`, { ...now, ...more })
  }
  if (jetstream && config.streamExists) await make(STREAM)

  const pipe = dir.file('pipe')
  const argv = argvOf(script, { pipe, port: proxy.port, spool: dir.file('spool') })
  let life: RealLife
  const goDown = async (end: () => Promise<void>) => {
    proxy.refuse()
    await end()
  }
  const grown = stack.move()
  return {
    until: (what, isSo) => until(what, isSo, FOREVER_MS).then(() => {}),
    life: () => life,
    start() {
      life = hosts.start(argv)
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
      crash: () => goDown(() => server.stop('SIGKILL')),
      leave: () =>
        goDown(async () => {
          server.lameDuck()
          await server.stop('SIGCONT')
        }),
      async start() {
        await server.start()
        await until('the subscriber is back', () => isBack(connection))
        await proxy.listen()
      },
      async setMaxPayload(bytes) {
        server.reload(configFor(store, [script], bytes))
        await until('max_payload is read', () =>
          hasMaxPayload(bytes, { servers: server.url, ...admin }),
        )
        proxy.setMaxPayload(bytes)
      },
    },
    stream: {
      make,
      async remove() {
        await collect()
        await ask(`STREAM.DELETE.${streamName}`)
        streamName = STREAM
      },
      async fill(room) {
        const { state } = await ask(`STREAM.INFO.${STREAM}`)
        await change({ max_msgs: state.messages + room, discard: 'new' })
      },
      async purge() {
        await collect()
        await ask(`STREAM.PURGE.${STREAM}`)
        await change({ max_msgs: -1 })
      },
    },
    async end() {
      if (jetstream) await collect()
      return { stored: jetstream ? stored : arrived, sent: proxy.sent }
    },
    [Symbol.asyncDispose]: () => grown.disposeAsync(),
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

function argvOf(
  { seed, config }: Script,
  { pipe, port, spool }: { pipe: string; port: number; spool: string },
): string[] {
  const { drainTimeout, bufferBytes, spoolBytes, maxLineBytes, minPriority } = configOf(config)
  return [
    ...['-f', pipe, '-s', `nats://falco${seed}:${PASSWORD}@127.0.0.1:${port}`],
    ...['--metrics-address', '127.0.0.1:1', '--falco-events', 'off'],
    ...['--batch-bytes', `${config.batchBytes}`, '--buffer-bytes', `${bufferBytes}`],
    ...['--max-line-bytes', `${maxLineBytes}`, '--drain-timeout', `${drainTimeout}ms`],
    ...['--min-priority', minPriority === 7 ? 'debug' : 'notice'],
    ...['--headers', config.headers ? 'on' : 'off'],
    ...(config.spool ? ['--spool-dir', spool, '--spool-bytes', `${spoolBytes}`] : []),
    ...(config.jetstream ? ['--jetstream', '--max-in-flight', `${config.maxInFlight}`] : []),
    ...(config.createStream ? ['--create-stream'] : []),
    ...(config.expectStream ? ['--stream', STREAM] : []),
  ]
}
