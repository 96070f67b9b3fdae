// An engine of playbooks with small steps, on a real nats-server.

import { type ConnectionOptions, connect, type NatsConnection } from 'nats'
import { pino } from 'pino'
import { z } from 'zod'
import { createRespondMetrics, type RespondMetrics } from '../../src/respond/engine/metrics.ts'
import { createOutcomes, type StepOutcome } from '../../src/respond/engine/outcomes.ts'
import { createRunner, type Runner } from '../../src/respond/engine/runner.ts'
import { createMemoryState, type State } from '../../src/respond/engine/state.ts'
import { createSettlement, type Settle } from '../../src/respond/intake/settlement.ts'
import type { Cluster } from '../../src/respond/kubernetes/cluster.ts'
import type { Plan, PlannedStep, Playbook } from '../../src/respond/playbook/playbook.ts'
import { type Done, type Step, type StepContext, StepError } from '../../src/respond/steps/step.ts'
import type { LogLine } from './cli.ts'
import { numberedAlert } from './fixtures.ts'

/** A step that does what the test says. */
export function fakeStep(
  run: (context: StepContext) => Promise<Done | string | undefined> | Done | string | undefined,
  { name = 'fake', repeatable = true, target = 'none' as Step['target'] } = {},
): Step {
  return {
    name,
    params: z.strictObject({}),
    target,
    repeatable,
    rules: () => [],
    async run(_params, context) {
      const done = await run(context)
      return typeof done === 'object' ? done : { outcome: 'ok', detail: done ?? 'done' }
    },
  }
}

export const planned = (step: Step, more: Partial<PlannedStep> = {}): PlannedStep => ({
  step,
  params: {},
  timeoutMs: 10_000,
  continueOnError: false,
  ...more,
})

export const playbookOf = (
  steps: readonly (Step | PlannedStep)[],
  more: Partial<Playbook> = {},
): Playbook => ({
  name: 'test',
  on: ['falco.notice.>'],
  match: {},
  steps: steps.map((step) => ('step' in step ? step : planned(step))),
  concurrency: 4,
  maxDeliver: 5,
  coolDownMs: 0,
  ...more,
})

export const planOf = (playbooks: readonly Playbook[], more: Partial<Plan> = {}): Plan => ({
  dryRun: false,
  maxActionsPerMinute: 100_000,
  protectedNamespaces: ['kube-system'],
  playbooks,
  ...more,
})

export interface Engine extends AsyncDisposable {
  readonly runner: Runner
  readonly settle: Settle
  readonly state: State
  readonly metrics: RespondMetrics
  readonly connection: NatsConnection
  readonly reported: StepOutcome[]
  readonly logger: pino.Logger
  log(): LogLine[]
  readonly stop: AbortController
  readonly abandon: AbortController
}

/** All between messages and steps, with a connection of its own. */
export async function openEngine(
  url: string,
  plan: Plan,
  {
    stateOf = () => createMemoryState(),
    options = {},
  }: { stateOf?: (connection: NatsConnection) => State; options?: ConnectionOptions } = {},
): Promise<Engine> {
  const connection = await connect({
    servers: url,
    maxReconnectAttempts: -1,
    reconnectTimeWait: 50,
    ...options,
  })
  const lines: string[] = []
  const formatters = { level: (level: string) => ({ level }) }
  const logger = pino({ level: 'debug', formatters }, { write: (line) => void lines.push(line) })
  const stop = new AbortController()
  const abandon = new AbortController()
  const state = stateOf(connection)
  const metrics = createRespondMetrics()
  const reported: StepOutcome[] = []
  const cluster = (): Cluster => {
    throw new StepError('there is no cluster', { retryable: false })
  }
  const real = createOutcomes({ connection, cluster, metrics, log: logger })
  const outcomes = {
    ...real,
    report(outcome: StepOutcome) {
      reported.push(outcome)
      real.report(outcome)
    },
  }
  const runner = createRunner({
    plan,
    state,
    cluster,
    bucket: async () => ({ put: async () => {} }),
    outcomes,
    metrics,
    log: logger,
    stop: stop.signal,
    abandon: abandon.signal,
  })
  const settle = createSettlement({
    connection,
    runner,
    metrics,
    log: logger,
    abandon: abandon.signal,
  })
  return {
    runner,
    settle,
    state,
    metrics,
    connection,
    reported,
    logger,
    log: () => lines.map((line) => JSON.parse(line)),
    stop,
    abandon,
    async [Symbol.asyncDispose]() {
      stop.abort()
      abandon.abort()
      await connection.close()
    },
  }
}

export const SUBJECT = 'falco.notice.terminal_shell_in_container'

/** A numbered alert, as it comes. */
export const arrivalOf = (n = 1, delivery = 1) => ({
  subject: SUBJECT,
  payload: Buffer.from(numberedAlert(n)),
  delivery,
})

/** One playbook on an engine of its own. */
export async function withEngine(
  url: string,
  playbook: Playbook,
  act: (engine: Engine) => Promise<void>,
  more: Partial<Plan> = {},
): Promise<void> {
  await using engine = await openEngine(url, planOf([playbook], more))
  await act(engine)
}
