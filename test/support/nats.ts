// Real nats-servers on free ports, and a subscriber that keeps what arrives.

import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { createConnection, createServer } from 'node:net'
import {
  type ConnectionOptions,
  connect,
  createInbox,
  type MsgHdrs,
  type NatsConnection,
  TimeoutError,
} from 'nats'
import { tempDir } from './temp.ts'
import { until } from './wait.ts'

export interface NatsServer extends AsyncDisposable {
  readonly port: number
  readonly url: string
  start(): Promise<void>
  stop(signal?: NodeJS.Signals): Promise<void>
  /** Writes other lines of configuration, for the next start. */
  configure(config: string): void
  /** The same, and has them read. */
  reload(config: string): void
  /** SIGSTOP: it stays connected and answers nothing. */
  freeze(): void
  /** How many errors it has logged since its start. */
  errors(): number
  thaw(): void
  /** Lame duck: it takes nobody in, shows everybody out, one a second, and ends. */
  lameDuck(): void
}

/** Starts a nats-server from PATH with lines of configuration; `{ started: false }` only reserves a port. */
export async function startNats(
  config = '',
  { started = true, program = 'nats-server' } = {},
): Promise<NatsServer> {
  const directory = tempDir()
  const port = await freePort()
  const file = directory.file('nats.conf')
  const configure = (lines: string) =>
    writeFileSync(file, `listen: "127.0.0.1:${port}"\n${lines}\n`)
  configure(config)
  let child: ChildProcess | undefined
  let said = ''

  async function stop(signal: NodeJS.Signals = 'SIGTERM'): Promise<void> {
    const running = child
    child = undefined
    if (!running || running.exitCode !== null) return
    const gone = once(running, 'exit')
    running.kill('SIGCONT')
    running.kill(signal)
    await gone
  }

  const server: NatsServer = {
    port,
    url: `nats://127.0.0.1:${port}`,
    async start() {
      const spawned = spawn(program, ['-c', file], {
        cwd: directory.path,
        stdio: ['ignore', 'ignore', 'pipe'],
      })
      said = ''
      spawned.stderr.on('data', (text) => {
        said += text
      })
      child = spawned
      await once(spawned, 'spawn')
      await until(`nats-server listens on ${port}`, () => {
        if (spawned.exitCode !== null) throw new Error(`nats-server ended: ${said}`)
        return said.includes('Server is ready') && accepts(port)
      })
    },
    stop,
    configure,
    reload(lines) {
      configure(lines)
      child?.kill('SIGHUP')
    },
    errors: () => said.split('[ERR]').length - 1,
    freeze() {
      child?.kill('SIGSTOP')
      // On a busy machine its threads run on for a moment, and would confirm what follows.
      while (!isStopped(child?.pid)) Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 1)
    },
    thaw: () => child?.kill('SIGCONT'),
    lameDuck: () => child?.kill('SIGUSR2'),
    async [Symbol.asyncDispose]() {
      await stop('SIGKILL')
      directory[Symbol.dispose]()
    },
  }
  if (started) await server.start()
  return server
}

/** Servers that know each other, each with more lines of configuration; `options` to connect to them. */
export async function startCluster(
  size: number,
  config = '',
  options: ConnectionOptions = {},
): Promise<AsyncDisposable & { nodes: NatsServer[] }> {
  await using stack = new AsyncDisposableStack()
  const ports = await Promise.all(Array.from({ length: size }, freePort))
  const routes = ports.map((port) => `nats://127.0.0.1:${port}`).join(', ')
  const nodes: NatsServer[] = []
  for (const port of ports) {
    const cluster = `cluster { name: test, listen: "127.0.0.1:${port}", routes: [${routes}] }`
    nodes.push(stack.use(await startNats(`server_name: n${port}\n${cluster}\n${config}`)))
  }
  await until('every node knows all', async () => {
    const known = await Promise.all(nodes.map(({ url }) => knownServers(url, options)))
    return known.every((count) => count === size)
  })
  const started = stack.move()
  return { nodes, [Symbol.asyncDispose]: () => started.disposeAsync() }
}

async function knownServers(url: string, options: ConnectionOptions): Promise<number> {
  await using connection = await connect({ servers: url, ...options })
  return connection.info?.connect_urls?.length ?? 1
}

export interface Received {
  readonly subject: string
  readonly data: Buffer
  readonly headers?: MsgHdrs | undefined
}

export interface Subscriber extends AsyncDisposable {
  readonly messages: Received[]
  /** Resolves when at least `count` messages have come. */
  count(count: number, timeoutMs?: number): Promise<void>
  /** Resolves when all has come that the server had for it by now. */
  flush(): Promise<void>
}

/** Subscribes to all alerts, across restarts of the server. */
export async function subscribe(url: string, options: ConnectionOptions = {}): Promise<Subscriber> {
  const messages: Received[] = []
  const connection = await connect({
    servers: url,
    maxReconnectAttempts: -1,
    reconnectTimeWait: 20,
    reconnectJitter: 0,
    ...options,
  })
  connection.subscribe('falco.>', {
    callback(_error, { subject, data, headers }) {
      messages.push({ subject, data: Buffer.from(data), headers })
    },
  })
  await connection.flush()
  return {
    messages,
    count: (count, timeoutMs) =>
      until(
        `${count} messages have come (there are ${messages.length})`,
        () => messages.length >= count,
        timeoutMs,
      ).then(() => {}),
    flush: () => connection.flush(),
    [Symbol.asyncDispose]: () => connection.close(),
  }
}

/** Starts the server and subscribes while the program stands still, which would otherwise publish before. */
export async function startSubscribed(
  server: NatsServer,
  program: Pick<ChildProcess, 'kill'>,
): Promise<Subscriber> {
  program.kill('SIGSTOP')
  try {
    await server.start()
    return await subscribe(server.url)
  } finally {
    program.kill('SIGCONT')
  }
}

interface StreamAnswer {
  readonly error?: { description: string }
  readonly name?: string
  readonly state: { messages: number }
  readonly config: Record<string, unknown>
}

/** Then it is lost: a server that is only busy answers sooner. */
export const REQUEST_MS = 15_000
const READ_AT_ONCE = 10_000

/** Asks the JetStream API; throws what it answers as an error. */
async function jetStream(connection: NatsConnection, operation: string, request: object) {
  const reply = await connection.request(`$JS.API.${operation}`, JSON.stringify(request), {
    timeout: REQUEST_MS,
  })
  const answer = reply.json<StreamAnswer>()
  if (answer.error) throw new Error(`${operation}: ${answer.error.description}`)
  return answer
}

/** The same with a connection of its own: `STREAM.PURGE.ALERTS` and the like. */
export async function askJetStream(
  url: string,
  operation: string,
  request = {},
  options: ConnectionOptions = {},
): Promise<StreamAnswer> {
  await using connection = await connect({ servers: url, ...options })
  return await jetStream(connection, operation, request)
}

/** A stream that keeps, in files, what is published on `falco.>`. */
export async function createStream(
  url: string,
  more = {},
  options: ConnectionOptions = {},
): Promise<void> {
  const stream = { name: 'ALERTS', subjects: ['falco.>'], storage: 'file', retention: 'limits' }
  await askJetStream(url, 'STREAM.CREATE.ALERTS', { ...stream, ...more }, options)
}

export async function streamCount(url: string): Promise<number> {
  await using connection = await connect({ servers: url })
  return (await jetStream(connection, 'STREAM.INFO.ALERTS', {})).state.messages
}

/** All that the stream holds, in order. */
export async function readStream(
  url: string,
  stream = 'ALERTS',
  options: ConnectionOptions = {},
): Promise<Received[]> {
  await using connection = await connect({ servers: url, ...options })
  // A cluster without a leader forgets what it is asked, so it is asked again.
  return await until('the stream is read', () => tryToReadStream(connection, stream))
}

async function tryToReadStream(
  connection: NatsConnection,
  stream: string,
): Promise<Received[] | undefined> {
  const messages: Received[] = []
  const inbox = createInbox()
  const subscription = connection.subscribe(inbox, {
    callback(_error, { subject, data, headers }) {
      messages.push({ subject, data: Buffer.from(data), headers })
    },
  })
  try {
    const { state, config } = await jetStream(connection, `STREAM.INFO.${stream}`, {})
    const { name } = await jetStream(connection, `CONSUMER.CREATE.${stream}`, {
      stream_name: stream,
      config: {
        deliver_policy: 'all',
        ack_policy: 'none',
        // As many as the stream has, or it might be given to a node that is dead.
        num_replicas: config.num_replicas,
      },
    })
    // A server that had to send all of a long stream at once would end the connection.
    while (messages.length < state.messages) {
      const wanted = messages.length + Math.min(READ_AT_ONCE, state.messages - messages.length)
      const request = JSON.stringify({ batch: wanted - messages.length })
      connection.publish(`$JS.API.CONSUMER.MSG.NEXT.${stream}.${name}`, request, { reply: inbox })
      await until('they are there', () => messages.length >= wanted)
    }
    return messages
  } catch (error) {
    if (error instanceof TimeoutError) return undefined
    throw error
  } finally {
    subscription.unsubscribe()
  }
}

/**
 * Below those that the system gives to outgoing connections, so that it stays free, and of the half that is
 * this worker's: a server that is started later would find that the other worker has its port.
 */
export async function freePort(): Promise<number> {
  const half = Number(process.env.VITEST_POOL_ID ?? 0) % 2
  for (;;) {
    const port = 10_000 + Math.floor(11_000 * (half + Math.random()))
    const server = createServer().listen(port, '127.0.0.1')
    try {
      await once(server, 'listening')
    } catch {
      continue
    }
    server.close()
    await once(server, 'close')
    return port
  }
}

function accepts(port: number): Promise<boolean> {
  const socket = createConnection(port, '127.0.0.1')
  return new Promise((resolve) => {
    socket.on('connect', () => resolve(true)).on('error', () => resolve(false))
  }).then((accepted) => {
    socket.destroy()
    return accepted as boolean
  })
}

const isStopped = (pid: number | undefined) =>
  readdirSync(`/proc/${pid}/task`).every((thread) =>
    readFileSync(`/proc/${pid}/task/${thread}/stat`, 'latin1').includes(') T '),
  )
