// What `respond` counts, and the text of its /metrics.

import { Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from 'prom-client'
import { standardError } from '../../shared/process/output.ts'

export type RespondMetrics = ReturnType<typeof createRespondMetrics>

/** How the delivery of an alert to a playbook may end; none has so far. */
const RESULTS = { done: 0, retried: 0, dead_letter: 0, not_matched: 0, invalid: 0 }
const PREFIX = 'falco_nats_respond'
const HELP = {
  alerts_total: 'Deliveries of alerts to playbooks, by how they ended.',
  delayed_total:
    'Alerts left alone since their target was just acted upon, or that waited for the rate.',
  log_lines_dropped_total: 'Lines of the log that standard error did not take.',
  connected: 'Whether there is a connection to NATS.',
  steps_total: 'Steps, by how they ended.',
  step_seconds: 'How long steps took.',
  in_progress: 'Alerts that a playbook has in hand.',
  dropped_total: 'Alerts lost since too many were waiting; never with JetStream.',
}
/** Of a step: from a PATCH on the API server to the longest timeouts. */
const SECONDS = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300]

export function createRespondMetrics() {
  const registry = new Registry()
  collectDefaultMetrics({ register: registry })
  const row = <Label extends string>(name: keyof typeof HELP, ...labelNames: Label[]) => ({
    name: `${PREFIX}_${name}`,
    help: HELP[name],
    labelNames,
    registers: [registry],
  })
  const alerts = new Counter(row('alerts_total', 'playbook', 'result'))
  const delayed = new Counter(row('delayed_total', 'reason'))
  for (const reason of ['cool_down', 'rate']) delayed.inc({ reason }, 0)
  new Counter({
    ...row('log_lines_dropped_total'),
    collect() {
      this.reset()
      this.inc(standardError().dropped())
    },
  })
  const connection = new Gauge(row('connected'))
  let isConnected = false
  const sums = { ...RESULTS }
  return {
    steps: new Counter(row('steps_total', 'playbook', 'step', 'outcome')),
    stepSeconds: new Histogram({ ...row('step_seconds', 'step'), buckets: SECONDS }),
    inProgress: new Gauge(row('in_progress', 'playbook')),
    delayed,
    dropped: new Counter(row('dropped_total', 'playbook')),
    alert(playbook: string, result: keyof typeof RESULTS): void {
      sums[result]++
      alerts.inc({ playbook, result })
    },
    /** The sums of all playbooks, for the last line of the log. */
    sums: (): Readonly<typeof RESULTS> => sums,
    setConnected(is: boolean): void {
      isConnected = is
      connection.set(Number(is))
    },
    isConnected: () => isConnected,
    text: () => registry.metrics(),
  }
}
