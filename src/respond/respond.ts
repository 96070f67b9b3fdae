// The main job of `respond`: playbooks at work on alerts, until it is asked to stop.

import { setMaxListeners } from 'node:events'
import { setTimeout as delay } from 'node:timers/promises'
import type { NatsConnection } from 'nats'
import { FatalError, messageOf } from '../shared/errors.ts'
import { openEndpoint } from '../shared/http-endpoint.ts'
import type { Logger } from '../shared/log.ts'
import { checkCredentialFiles, identityOf } from '../shared/nats/credentials.ts'
import { saveAtBug } from '../shared/process/end.ts'
import { aborted, giveUpAfter } from '../shared/process/shutdown.ts'
import { hasIsolationTtl, liftExpiredIsolation } from './engine/lift-isolation.ts'
import { createRespondMetrics } from './engine/metrics.ts'
import { createOutcomes } from './engine/outcomes.ts'
import type { RunnerParts } from './engine/run.ts'
import { createRunner } from './engine/runner.ts'
import { connectPatiently } from './intake/connect.ts'
import { listen } from './intake/queue-group.ts'
import { type AlertSource, createSettlement } from './intake/settlement.ts'
import { chooseModes, openBucket, openState } from './intake/stream.ts'
import { consume } from './intake/workers.ts'
import { type Cluster, openCluster } from './kubernetes/cluster.ts'
import type { RespondConfig } from './options.ts'
import { protectOurselves } from './playbook/plan.ts'
import type { Plan } from './playbook/playbook.ts'

/** How long the last outcomes, and the messages to give back, may take at the end. */
const GRACE_MS = 2_000

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
  const sources: AlertSource[] = []
  endpoint?.serve({
    metrics: metrics.text,
    live: () => undefined,
    ready() {
      if (stop.aborted) return 'stopping: what runs is being finished'
      if (!metrics.isConnected()) return 'not connected to NATS'
      const missing = plan.playbooks.filter((_, index) => !sources[index]?.isReady())
      if (missing.length === 0) return undefined
      return `no alerts can come for ${missing.map(({ name }) => name).join(', ')}`
    },
  })
  logPlan(plan, log)
  const abandon = giveUpAfter(config.drainTimeout, stop, abandonedByHand)
  // Every worker and every step listens: that is no leak.
  setMaxListeners(0, stop, abandon)
  const identity = identityOf(config, 'falco-nats-respond')
  const connection = await connectPatiently(config, identity, metrics, log, stop)
  if (connection) {
    await work({ config, plan, connection, metrics, log, stop, abandon, sources })
    await briefly(connection.drain().catch(() => {}))
    await connection.close().catch(() => {})
  }
  log.info(metrics.sums(), 'done')
  return 0
}

interface Work extends Pick<RunnerParts, 'plan' | 'metrics' | 'log' | 'stop' | 'abandon'> {
  readonly config: RespondConfig
  readonly connection: NatsConnection
  readonly sources: AlertSource[]
}

async function work({ sources, ...parts }: Work): Promise<void> {
  const { config, plan, connection, log, stop, abandon } = parts
  // What a dry run takes must not be missing where it is for real.
  const prefix = plan.dryRun ? `${config.durable}_dry` : config.durable
  const modes = await chooseModes(connection, plan, config, log, stop)
  if (modes === undefined) return
  let opened: Cluster | undefined
  // At its first use; a failure is tried again.
  const cluster = () => {
    opened ??= openCluster()
    return opened
  }
  const outcomes = createOutcomes({ ...parts, cluster })
  const state = await openState(connection, plan, prefix, modes)
  const bucket = (name: string) => openBucket(connection, name)
  const runner = createRunner({ ...parts, state, cluster, bucket, outcomes })
  const settle = createSettlement({ ...parts, runner })
  for (const [index, playbook] of plan.playbooks.entries()) {
    const own = { ...parts, playbook, settle, name: `${prefix}-${playbook.name}` }
    const isCore = modes[index]!.kind === 'core'
    sources.push(isCore ? listen(own) : consume({ ...own, stream: config.stream }))
  }
  aborted(stop).then(() => log.info('stopping: finishing what runs'))
  const lift = async () =>
    liftExpiredIsolation(cluster(), { signal: stop, log, dryRun: plan.dryRun })
  const notLifted = (error: unknown) =>
    log.error({ reason: messageOf(error) }, 'isolation is not lifted when its ttl has passed')
  if (hasIsolationTtl(plan)) lift().catch(notLifted)
  const finished = Promise.all(sources.map(({ finished }) => finished))
  // A step that is given up still reports its outcome and gives its message back.
  const givenUp = aborted(abandon).then(() => briefly(finished))
  await Promise.race([finished, givenUp, unexpectedEnd(connection, stop)])
  await briefly(outcomes.settled())
}

/** The client tries for ever; should it end all the same, what has started us is to start us again. */
async function unexpectedEnd(connection: NatsConnection, stop: AbortSignal): Promise<never> {
  const reason = await connection.closed()
  if (stop.aborted) return await new Promise(() => {})
  const why = messageOf(reason ?? 'no reason given')
  throw new FatalError(`the connection to NATS was closed: ${why}`)
}

const briefly = (promise: Promise<unknown>) => Promise.race([promise, delay(GRACE_MS)])

function logPlan({ dryRun, playbooks: all, ...limits }: Plan, log: Logger): void {
  const playbooks = all.map(({ name, steps }) => `${name}: ${steps.map(({ step }) => step.name)}`)
  const fields = { dryRun, playbooks, ...limits }
  if (dryRun)
    log.warn(fields, 'DRY RUN: nothing will be done; dryRun: false in the file is for real')
  else log.info(fields, 'responding for real')
}
