// --test: one alert through all playbooks, dry, and what would be done.

import { readFileSync } from 'node:fs'
import { pino } from 'pino'
import { type Alert, PRIORITIES, parseAlert, priorityIndex } from '../shared/alert/alert.ts'
import { parseTemplate, subjectOf } from '../shared/alert/subject.ts'
import { messageOf, printable, quoted, UsageError } from '../shared/errors.ts'
import type { Output } from '../shared/process/output.ts'
import { matches } from './engine/match.ts'
import { createRespondMetrics } from './engine/metrics.ts'
import type { Outcomes } from './engine/outcomes.ts'
import { createRunner } from './engine/runner.ts'
import { createMemoryState } from './engine/state.ts'
import { type Cluster, openCluster } from './kubernetes/cluster.ts'
import type { Plan, Playbook } from './playbook/playbook.ts'
import { StepError } from './steps/step.ts'

const SHOWN = { ok: 'ok', skipped: 'skip', failed: 'FAIL', dry_run: 'would' } as const

/** Prints per playbook whether it is meant, and per step what would be done. 0: no step failed. */
export async function tryAlert(path: string, given: Plan, output: Output): Promise<0 | 1> {
  const { payload, alert } = readAlert(path)
  const subject = subjectOf(parseTemplate('falco.<priority>.<rule>'), alert)
  const plan = { ...given, dryRun: true }
  const say = (text: string) => void output.write(`${text}\n`)
  say(`alert: ${printable(alert.rule)} (${priorityText(alert)}), on ${subject}`)
  const cluster = clusterOrNot()
  if (typeof cluster === 'string') say(`no cluster: not looked at (${cluster})`)
  let failed = false
  for (const playbook of plan.playbooks) {
    const why = matches(playbook, subject, alert)
    say(`${playbook.name}: ${why === true ? 'acts' : `does not act: ${why}`}`)
    if (why !== true) continue
    const outcomes: Outcomes = {
      tell({ step, outcome, text }) {
        failed ||= outcome === 'failed'
        say(`  ${SHOWN[outcome].padEnd(5)} ${step}: ${printable(text)}`)
      },
      settled: async () => {},
    }
    await run(plan, withoutCluster(playbook, cluster, say), cluster, outcomes, { subject, payload })
  }
  return failed ? 1 : 0
}

async function run(
  plan: Plan,
  playbook: Playbook,
  cluster: Cluster | string,
  outcomes: Outcomes,
  message: { readonly subject: string; readonly payload: Buffer },
): Promise<void> {
  const runner = createRunner({
    plan,
    state: createMemoryState(),
    cluster: () => {
      if (typeof cluster === 'string') throw new StepError(cluster, { retryable: true })
      return cluster
    },
    bucket: async () => ({ put: async () => {} }),
    outcomes,
    metrics: createRespondMetrics(),
    log: pino({ level: 'silent' }),
    stop: new AbortController().signal,
    abandon: new AbortController().signal,
  })
  // What would end the playbook for real must not hide what comes after it.
  const steps = playbook.steps.map((planned) => ({ ...planned, continueOnError: true }))
  await runner.handle({ ...playbook, steps, coolDownMs: 0 }, { ...message, delivery: 1 })
}

/** Without a cluster, what needs one is only named. */
function withoutCluster(
  playbook: Playbook,
  cluster: Cluster | string,
  say: (text: string) => void,
): Playbook {
  if (typeof cluster !== 'string') return playbook
  for (const { step } of playbook.steps)
    if (step.target !== 'none') say(`  ${SHOWN.dry_run} ${step.name}: no cluster: not looked at`)
  return { ...playbook, steps: playbook.steps.filter(({ step }) => step.target === 'none') }
}

function clusterOrNot(): Cluster | string {
  try {
    return openCluster()
  } catch (error) {
    return messageOf(error)
  }
}

function readAlert(path: string): { payload: Buffer; alert: Alert } {
  const wrong = (what: string) => new UsageError(`--test ${quoted(path)}: ${what}`)
  let payload: Buffer
  try {
    payload = readFileSync(path)
  } catch (error) {
    throw wrong(`${messageOf(error)}; allowed: a file with one alert as JSON`)
  }
  const alert = parseAlert(payload, 0, payload.length)
  if (typeof alert === 'string')
    throw wrong('that is not one alert; allowed: JSON with priority and rule')
  return { payload, alert }
}

const priorityText = ({ priority }: Alert) =>
  PRIORITIES[priorityIndex(priority) ?? -1] ?? printable(priority)
