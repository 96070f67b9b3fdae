// What `respond` counts, and the text of its /metrics.

import { Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from 'prom-client'
import { standardError } from '../../shared/process/output.ts'
import type { Outcome } from '../steps/step.ts'

/** How an alert ended for a playbook. */
export type AlertResult = 'done' | 'retried' | 'dead_letter' | 'not_matched' | 'invalid'

export interface RespondMetrics {
  step(playbook: string, step: string, outcome: Outcome, seconds: number): void
  alert(playbook: string, result: AlertResult): void
  /** An alert that waits, or is left alone, for its target's or everybody's sake. */
  delayed(reason: 'cool_down' | 'rate'): void
  /** Without JetStream: more alerts than can be kept waiting. */
  dropped(playbook: string): void
  begin(playbook: string): void
  end(playbook: string): void
  connected(is: boolean): void
  isConnected(): boolean
  /** The sums of all playbooks, for the last line of the log. */
  sums(): Readonly<Record<AlertResult, number>>
  text(): Promise<string>
}

const PREFIX = 'falco_nats_respond'
/** Of a step: from a PATCH on the API server to the longest timeouts. */
const SECONDS = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300]

export function createRespondMetrics(): RespondMetrics {
  const registry = new Registry()
  const registers = [registry]
  collectDefaultMetrics({ register: registry })
  const steps = new Counter({
    name: `${PREFIX}_steps_total`,
    help: 'Steps, by how they ended.',
    labelNames: ['playbook', 'step', 'outcome'],
    registers,
  })
  const seconds = new Histogram({
    name: `${PREFIX}_step_seconds`,
    help: 'How long steps took.',
    labelNames: ['step'],
    buckets: SECONDS,
    registers,
  })
  const alerts = new Counter({
    name: `${PREFIX}_alerts_total`,
    help: 'Deliveries of alerts to playbooks, by how they ended.',
    labelNames: ['playbook', 'result'],
    registers,
  })
  const inProgress = new Gauge({
    name: `${PREFIX}_in_progress`,
    help: 'Alerts that a playbook has in hand.',
    labelNames: ['playbook'],
    registers,
  })
  const delays = new Counter({
    name: `${PREFIX}_delayed_total`,
    help: 'Alerts left alone since their target was just acted upon, or that waited for the rate.',
    labelNames: ['reason'],
    registers,
  })
  const drops = new Counter({
    name: `${PREFIX}_dropped_total`,
    help: 'Alerts lost since too many were waiting; never with JetStream.',
    labelNames: ['playbook'],
    registers,
  })
  new Counter({
    name: `${PREFIX}_log_lines_dropped_total`,
    help: 'Lines of the log that standard error did not take.',
    registers,
    collect() {
      this.reset()
      this.inc(standardError().dropped())
    },
  })
  const connection = new Gauge({
    name: `${PREFIX}_connected`,
    help: 'Whether there is a connection to NATS.',
    registers,
  })
  let isConnected = false
  const sums = { done: 0, retried: 0, dead_letter: 0, not_matched: 0, invalid: 0 }
  for (const reason of ['cool_down', 'rate']) delays.inc({ reason }, 0)
  return {
    step(playbook, step, outcome, took) {
      steps.inc({ playbook, step, outcome })
      seconds.observe({ step }, took)
    },
    alert(playbook, result) {
      sums[result]++
      alerts.inc({ playbook, result })
    },
    delayed: (reason) => delays.inc({ reason }),
    dropped: (playbook) => drops.inc({ playbook }),
    begin: (playbook) => inProgress.inc({ playbook }),
    end: (playbook) => inProgress.dec({ playbook }),
    connected(is) {
      isConnected = is
      connection.set(Number(is))
    },
    isConnected: () => isConnected,
    sums: () => sums,
    text: () => registry.metrics(),
  }
}
