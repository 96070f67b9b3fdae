// The main job of `respond`: playbooks at work on alerts, until somebody says stop.

import { setMaxListeners } from 'node:events'
import type { NatsConnection } from 'nats'
import { FatalError, messageOf } from '../shared/errors.ts'
import { openEndpoint } from '../shared/http-endpoint.ts'
import type { Logger } from '../shared/log.ts'
import { checkCredentialFiles, identityOf } from '../shared/nats/credentials.ts'
import { saveAtBug } from '../shared/process/end.ts'
import { aborted, giveUpAfter } from '../shared/process/shutdown.ts'
import { keepLifting, liftsIsolation } from './engine/lift-isolation.ts'
import { createRespondMetrics, type RespondMetrics } from './engine/metrics.ts'
import { createOutcomes } from './engine/outcomes.ts'
import { createRunner } from './engine/runner.ts'
import { connectPatiently } from './intake/connect.ts'
import { type Mode, modeOf } from './intake/mode.ts'
import { listen } from './intake/queue-group.ts'
import { createDesk } from './intake/settlement.ts'
import { createSender, openBucket, openState } from './intake/storage.ts'
import { consume, type Intake } from './intake/workers.ts'
import { type Cluster, openCluster } from './kubernetes/cluster.ts'
import type { RespondConfig } from './options.ts'
import { protectOurselves } from './playbook/load.ts'
import type { Plan } from './playbook/playbook.ts'

const GOODBYE_MS = 2_000

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
  // The name of a host may take long.
  await using endpoint =
    config.metricsAddress &&
    (await Promise.race([openEndpoint(config.metricsAddress), aborted(stop)]))
  if (endpoint) log.info({ address: endpoint.address }, 'serving /metrics, /livez and /readyz')
  const metrics = createRespondMetrics()
  saveAtBug((why) => log.error(metrics.sums(), `done: ${why}`))
  const intakes: Intake[] = []
  endpoint?.serve({
    metrics: metrics.text,
    live: () => undefined,
    ready: () => notReady(intakes, plan, metrics.isConnected(), stop),
  })
  announce(plan, log)
  const abandon = giveUpAfter(config.drainTimeout, stop, abandonedByHand)
  // Every worker and every step listens: that is no leak.
  setMaxListeners(0, stop, abandon)
  const identity = identityOf(config, 'falco-nats-respond')
  const connection = await connectPatiently(
    { servers: config.server, credentials: config, identity, metrics, log },
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
  // What a dry run takes must not be missing where it is for real.
  const prefix = plan.dryRun ? `${config.durable}_dry` : config.durable
  const modes = await chooseModes(parts)
  if (modes === undefined) return
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
  aborted(stop).then(() => log.info('stopping: finishing what runs'))
  if (liftsIsolation(plan)) void keepLiftingIfThereIsACluster(parts, cluster)
  await allIsOver(parts)
  await Promise.race([outcomes.settled(), pause(GOODBYE_MS)])
}

/** Undefined: stopped before JetStream has answered. */
async function chooseModes(parts: Work): Promise<readonly Mode[] | undefined> {
  const { config, plan, connection, log, stop } = parts
  const modes: Mode[] = []
  for (const playbook of plan.playbooks) {
    const mode = await modeOf(connection, playbook, config, log, stop)
    if (mode === undefined) return undefined
    modes.push(mode)
    if (mode.kind === 'core')
      log.warn(
        { playbook: playbook.name, why: mode.why },
        'core NATS: what comes while no replica runs, and what waits when one ends, is lost',
      )
  }
  return modes
}

async function allIsOver({ intakes, connection, stop, abandon }: Work): Promise<void> {
  const finished = Promise.all(intakes.map(({ finished }) => finished))
  // What is given up still has its outcome to tell, and its message to give back.
  const givenUp = aborted(abandon).then(() => Promise.race([finished, pause(GOODBYE_MS)]))
  await Promise.race([finished, givenUp, unexpectedEnd(connection, stop)])
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

/** Opened when it is first needed; what fails is tried again. */
function once(open: () => Cluster): () => Cluster {
  let opened: Cluster | undefined
  return () => {
    opened ??= open()
    return opened
  }
}

async function goodbye(connection: NatsConnection): Promise<void> {
  await Promise.race([connection.drain().catch(() => {}), pause(GOODBYE_MS)])
  await connection.close().catch(() => {})
}
