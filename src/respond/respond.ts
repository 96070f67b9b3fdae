// The main job of `respond`: playbooks at work on alerts, until somebody says stop.

import { setMaxListeners } from 'node:events'
import { jetstream } from '@nats-io/jetstream'
import type { MsgHdrs, NatsConnection } from 'nats'
import { checkCredentialFiles, identityOf } from '../credentials.ts'
import { openEndpoint } from '../endpoint.ts'
import { FatalError, messageOf } from '../errors.ts'
import type { Logger } from '../log.ts'
import { giveUpAfter } from '../signals.ts'
import { type Cluster, openCluster } from './cluster.ts'
import { connectPatiently } from './connect.ts'
import { consume, type Intake } from './consume.ts'
import { streamFor } from './consumer.ts'
import { createDesk, type DeskParts } from './desk.ts'
import { keepLifting } from './isolation.ts'
import { type Mode, modeOf, replicasOf } from './mode.ts'
import type { RespondConfig } from './options.ts'
import { createOutcomes } from './outcomes.ts'
import { ownNamespace } from './own-namespace.ts'
import type { Plan } from './playbook.ts'
import { listen } from './queue.ts'
import { createRespondMetrics, type RespondMetrics } from './respond-metrics.ts'
import { createRunner } from './runner.ts'
import { createMemoryState, openKvState, type State } from './state.ts'
import type { Bucket } from './step.ts'

const GOODBYE_MS = 2_000
/** Of a dead letter: three values of at most 256 characters, and their names. */
const HEADERS_BYTES_MAX = 2048

/** Responds until `stop`, and finishes what runs. `abandon` gives it up. Gives the exit code. */
export async function respond(
  config: RespondConfig,
  given: Plan,
  log: Logger,
  stop: AbortSignal,
  abandonedByHand: AbortSignal,
): Promise<0> {
  checkCredentialFiles(config, config.server)
  const plan = protectOurselves(given)
  await using endpoint = config.metricsAddress && (await openEndpoint(config.metricsAddress))
  if (endpoint) log.info({ address: endpoint.address }, 'serving /metrics, /livez and /readyz')
  const { metrics, isConnected } = createWatchedMetrics()
  const intakes: Intake[] = []
  endpoint?.serve({
    metrics: metrics.text,
    live: () => undefined,
    ready: () => notReady(intakes, plan, isConnected(), stop),
  })
  announce(plan, log)
  const abandon = giveUpAfter(config.drainTimeout, stop, abandonedByHand)
  // Every worker and every step listens: that is no leak.
  setMaxListeners(0, stop, abandon)
  const { server: servers } = config
  const connection = await connectPatiently(
    {
      servers,
      credentials: config,
      identity: identityOf(config, 'falco-nats-respond'),
      metrics,
      log,
    },
    stop,
  )
  if (connection) {
    await work({ config, plan, connection, metrics, log, stop, abandon, intakes })
    await goodbye(connection)
  }
  log.info(metrics.sums(), 'done')
  return 0
}

interface Work {
  readonly config: RespondConfig
  readonly plan: Plan
  readonly connection: NatsConnection
  readonly metrics: RespondMetrics
  readonly log: Logger
  readonly stop: AbortSignal
  readonly abandon: AbortSignal
  readonly intakes: Intake[]
}

async function work(parts: Work): Promise<void> {
  const { config, plan, connection, metrics, log, stop, abandon, intakes } = parts
  const { durable: prefix } = config
  const modes: Mode[] = []
  for (const playbook of plan.playbooks) {
    const mode = await modeOf(connection, playbook, config, log, stop)
    if (mode === undefined) return
    modes.push(mode)
    if (mode.kind === 'core')
      log.warn(
        { playbook: playbook.name, why: mode.why },
        'core NATS: what comes while no replica runs, and what waits when one ends, is lost',
      )
  }
  const cluster = once(openCluster)
  const outcomes = createOutcomes({ connection, cluster, metrics, log })
  const state = await openState(connection, plan, prefix, modes)
  const bucket = (name: string) => openBucket(connection, name)
  const shared = { plan, state, cluster, bucket, outcomes, metrics, log, stop, abandon }
  const send = createSender(connection)
  const desk = createDesk({ runner: createRunner(shared), send, metrics, log, abandon })
  for (const [index, playbook] of plan.playbooks.entries()) {
    const mode = modes[index]!
    const own = { connection, playbook, desk, metrics, prefix, log, stop }
    intakes.push(mode.kind === 'core' ? listen(own) : consume({ ...own, stream: config.stream }))
  }
  stop.addEventListener('abort', () => log.info('stopping: finishing what runs'))
  if (liftsIsolation(plan)) void keepLiftingIfThereIsACluster(parts, cluster)
  const abandoned = new Promise((resolve) => abandon.addEventListener('abort', resolve))
  const finished = Promise.all(intakes.map(({ finished }) => finished))
  // What is given up still has its outcome to tell, and its message to give back.
  const givenUp = abandoned.then(() => Promise.race([finished, pause(GOODBYE_MS)]))
  await Promise.race([finished, givenUp, unexpectedEnd(connection, stop)])
  await Promise.race([outcomes.settled(), pause(GOODBYE_MS)])
}

/** The client tries for ever; should it end all the same, whoever has started us is to start us again. */
async function unexpectedEnd(connection: NatsConnection, stop: AbortSignal): Promise<never> {
  const reason = await connection.closed()
  if (stop.aborted) return await new Promise(() => {})
  throw new FatalError(
    `the connection to NATS was closed: ${messageOf(reason ?? 'no reason given')}`,
  )
}

async function keepLiftingIfThereIsACluster(
  { plan: { dryRun }, log, stop: signal }: Work,
  cluster: () => Cluster,
): Promise<void> {
  try {
    await keepLifting(cluster(), { signal, log, dryRun })
  } catch (error) {
    log.error({ reason: messageOf(error) }, 'isolation is not lifted when its ttl has passed')
  }
}

const pause = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms))

/** What we act from is never acted upon. */
function protectOurselves(plan: Plan): Plan {
  const own = ownNamespace()
  if (own === undefined) return plan
  return { ...plan, protectedNamespaces: [...new Set([...plan.protectedNamespaces, own])] }
}

function announce(
  { dryRun, playbooks, maxActionsPerMinute, protectedNamespaces }: Plan,
  log: Logger,
) {
  const names = playbooks.map(({ name, steps }) => `${name}: ${steps.map(({ step }) => step.name)}`)
  const fields = { dryRun, playbooks: names, maxActionsPerMinute, protectedNamespaces }
  if (dryRun)
    log.warn(fields, 'DRY RUN: nothing will be done; dryRun: false in the file is for real')
  else log.info(fields, 'responding for real')
}

function createWatchedMetrics(): { metrics: RespondMetrics; isConnected: () => boolean } {
  const metrics = createRespondMetrics()
  let connected = false
  const note = (is: boolean) => {
    connected = is
    metrics.connected(is)
  }
  return { metrics: { ...metrics, connected: note }, isConnected: () => connected }
}

function notReady(
  intakes: readonly Intake[],
  plan: Plan,
  connected: boolean,
  stop: AbortSignal,
): string | undefined {
  if (stop.aborted) return 'stopping: what runs is being finished'
  if (!connected) return 'not connected to NATS'
  const missing = plan.playbooks.filter((_, index) => !intakes[index]?.isReady())
  if (missing.length === 0) return undefined
  return `no alerts can come for ${missing.map(({ name }) => name).join(', ')}`
}

/** A dry run remembers for itself, so that it is in nobody's way. */
async function openState(
  connection: NatsConnection,
  { dryRun }: Plan,
  prefix: string,
  modes: readonly Mode[],
): Promise<State> {
  const mode = modes.find(({ kind }) => kind === 'jetstream')
  if (dryRun || mode?.kind !== 'jetstream') return createMemoryState()
  return openKvState(connection, `${prefix}-respond`, await replicasOf(connection, mode.stream))
}

async function openBucket(connection: NatsConnection, name: string): Promise<Bucket> {
  const { Objm } = await import('@nats-io/obj')
  const store = await new Objm(connection).create(name)
  return {
    async put(name, bytes) {
      await store.putBlob({ name }, bytes)
    },
  }
}

/**
 * Dead letters go to a stream where one takes them, and are stored when that says so. An alert that
 * has no room beside the reason loses its end, and a header says how long it was.
 */
function createSender(connection: NatsConnection): DeskParts['send'] {
  return async (subject: string, whole: Uint8Array, headers: MsgHdrs) => {
    const room = (connection.info?.max_payload ?? Number.POSITIVE_INFINITY) - HEADERS_BYTES_MAX
    const payload = whole.subarray(0, Math.max(0, room))
    if (payload.length < whole.length) headers.set('Falco-Respond-Cut-From', String(whole.length))
    const stream = await streamFor(connection, [subject]).catch(() => undefined)
    if (stream !== undefined) {
      await jetstream(connection).publish(subject, payload, { headers })
      return
    }
    connection.publish(subject, payload, { headers })
    await connection.flush()
  }
}

/** Opened when it is first needed; what fails is tried again. */
function once(open: () => Cluster): () => Cluster {
  let opened: Cluster | undefined
  return () => {
    opened ??= open()
    return opened
  }
}

const liftsIsolation = ({ playbooks }: Plan) =>
  playbooks.some(({ steps }) =>
    steps.some(
      ({ step, params }) =>
        step.name === 'isolate-pod' && (params as { ttl?: unknown }).ttl !== undefined,
    ),
  )

async function goodbye(connection: NatsConnection): Promise<void> {
  await Promise.race([connection.drain().catch(() => {}), pause(GOODBYE_MS)])
  await connection.close().catch(() => {})
}
