import { expect, it } from 'vitest'
import { createRespondMetrics } from '../../../src/respond/engine/metrics.ts'

it('has each metric under its name, with zeros where a rate is asked for', async () => {
  const metrics = createRespondMetrics()
  metrics.steps.inc({ playbook: 'p', step: 's', outcome: 'ok' })
  metrics.stepSeconds.observe({ step: 's' }, 0.2)
  metrics.inProgress.inc({ playbook: 'p' })
  metrics.dropped.inc({ playbook: 'p' })
  metrics.alert('p', 'done')
  const text = await metrics.text()
  for (const line of [
    'steps_total{playbook="p",step="s",outcome="ok"} 1',
    'step_seconds_bucket{le="0.25",step="s"} 1',
    'alerts_total{playbook="p",result="done"} 1',
    'in_progress{playbook="p"} 1',
    'delayed_total{reason="cool_down"} 0',
    'delayed_total{reason="rate"} 0',
    'dropped_total{playbook="p"} 1',
    'log_lines_dropped_total 0',
    'connected 0',
  ])
    expect(text).toContain(`\nfalco_nats_respond_${line}\n`)
  expect(text).toContain('\nprocess_cpu_seconds_total ')
})

it('sums up all playbooks for the last line of the log', () => {
  const metrics = createRespondMetrics()
  for (const [playbook, result] of [
    ['a', 'done'],
    ['b', 'done'],
    ['a', 'retried'],
  ] as const)
    metrics.alert(playbook, result)
  expect(metrics.sums()).toEqual({
    done: 2,
    retried: 1,
    dead_letter: 0,
    not_matched: 0,
    invalid: 0,
  })
})

it('knows whether there is a connection', async () => {
  const metrics = createRespondMetrics()
  expect(metrics.isConnected()).toBe(false)
  metrics.setConnected(true)
  expect(metrics.isConnected()).toBe(true)
  expect(await metrics.text()).toContain('\nfalco_nats_respond_connected 1\n')
})
