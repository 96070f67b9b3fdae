// What `respond` counts, and the text of its /metrics.

import { Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from 'prom-client'
import { standardError } from '../../shared/process/output.ts'

/** How the delivery of an alert to a playbook may end; none has so far. */
const RESULTS = { done: 0, retried: 0, dead_letter: 0, not_matched: 0, invalid: 0 }

export type RespondMetrics = ReturnType<typeof createRespondMetrics>

const PREFIX = 'falco_nats_respond'
/** Of a step: from a PATCH on the API server to the longest timeouts. */
const SECONDS = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300]

export function createRespondMetrics() {
  const registry = new Registry()
  collectDefaultMetrics({ register: registry })
  const row = <Label extends string>(name: string, help: string, ...labelNames: Label[]) => ({
    name: `${PREFIX}_${name}`,
    help,
    labelNames,
    registers: [registry],
  })
  const alerts = new Counter(
    row(
      'alerts_total',
      'Deliveries of alerts to playbooks, by how they ended.',
      'playbook',
      'result',
    ),
  )
  const delayed = new Counter(
    row(
      'delayed_total',
      'Alerts left alone since their target was just acted upon, or that waited for the rate.',
      'reason',
    ),
  )
  for (const reason of ['cool_down', 'rate']) delayed.inc({ reason }, 0)
  new Counter({
    ...row('log_lines_dropped_total', 'Lines of the log that standard error did not take.'),
    collect() {
      this.reset()
      this.inc(standardError().dropped())
    },
  })
  const connection = new Gauge(row('connected', 'Whether there is a connection to NATS.'))
  let isConnected = false
  const sums = { ...RESULTS }
  return {
    steps: new Counter(
      row('steps_total', 'Steps, by how they ended.', 'playbook', 'step', 'outcome'),
    ),
    stepSeconds: new Histogram({
      ...row('step_seconds', 'How long steps took.', 'step'),
      buckets: SECONDS,
    }),
    inProgress: new Gauge(row('in_progress', 'Alerts that a playbook has in hand.', 'playbook')),
    delayed,
    dropped: new Counter(
      row(
        'dropped_total',
        'Alerts lost since too many were waiting; never with JetStream.',
        'playbook',
      ),
    ),
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
