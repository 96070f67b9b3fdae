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
import { openCluster } from './kubernetes/cluster.ts'
import type { Plan } from './playbook/playbook.ts'

const WORDS = { ok: 'ok', skipped: 'skip', failed: 'FAIL', dry_run: 'would' } as const

/** Prints per playbook whether it is meant, and per step what would be done. 0: no step failed. */
export async function dryTest(path: string, given: Plan, output: Output): Promise<0 | 1> {
  const { payload, alert } = readAlert(path)
  const subject = subjectOf(parseTemplate('falco.<priority>.<rule>'), alert)
  const plan = { ...given, dryRun: true }
  const print = (text: string) => void output.write(`${text}\n`)
  const priority = PRIORITIES[priorityIndex(alert.priority) ?? -1] ?? printable(alert.priority)
  print(`alert: ${printable(alert.rule)} (${priority}), on ${subject}`)
  let cluster = openCluster
  let isMissing = false
  try {
    const opened = openCluster()
    cluster = () => opened
  } catch (error) {
    isMissing = true
    print(`no cluster: not looked at (${messageOf(error)})`)
  }
  let failed = false
  const outcomes: Outcomes = {
    report({ step, outcome, text }) {
      failed ||= outcome === 'failed'
      print(`  ${WORDS[outcome].padEnd(5)} ${step}: ${printable(text)}`)
    },
    settled: async () => {},
  }
  const { signal } = new AbortController()
  const runner = createRunner({
    plan,
    state: createMemoryState(),
    cluster,
    bucket: async () => ({ put: async () => {} }),
    outcomes,
    metrics: createRespondMetrics(),
    log: pino({ level: 'silent' }),
    stop: signal,
    abandon: signal,
  })
  for (const playbook of plan.playbooks) {
    const why = matches(playbook, subject, alert)
    print(`${playbook.name}: ${why === true ? 'acts' : `does not act: ${why}`}`)
    if (why !== true) continue
    const steps = []
    for (const planned of playbook.steps) {
      const { name, target } = planned.step
      // Without a cluster, what needs one is only named.
      if (isMissing && target !== 'none')
        print(`  ${WORDS.dry_run} ${name}: no cluster: not looked at`)
      // What would end the playbook for real must not hide what comes after it.
      else steps.push({ ...planned, continueOnError: true })
    }
    const arrival = { subject, payload, delivery: 1 }
    await runner.handle({ ...playbook, steps, coolDownMs: 0 }, arrival)
  }
  return failed ? 1 : 0
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
