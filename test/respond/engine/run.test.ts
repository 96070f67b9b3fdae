import { expect, it } from 'vitest'
import type { StepOutcome } from '../../../src/respond/engine/outcomes.ts'
import { createRun, type RunnerParts } from '../../../src/respond/engine/run.ts'
import { arrivalOf, fakeStep, planned, planOf, playbookOf } from '../../support/engine.ts'

it('reports each step with the targets that were found by then', () => {
  const reported: StepOutcome[] = []
  const outcomes = {
    report: (outcome: StepOutcome) => void reported.push(outcome),
    settled: async () => {},
  }
  const parts = { plan: planOf([], { dryRun: true }), outcomes } as unknown as RunnerParts
  const step = planned(fakeStep(() => 'done', { name: 'act' }))
  const alert = { rule: 'r', priority: 'Notice' }
  const run = createRun(parts, playbookOf([step]), arrivalOf(1, 2), alert, 'id')
  const result = { outcome: 'dry_run', text: 'would', durationMs: 1 } as const
  const pod = { namespace: 'n', name: 'p', uid: 'u', nodeName: undefined }
  run.report(step, result)
  Object.assign(run.found, { pod, node: 'there is no node n' })
  run.report(step, result)
  const { subject } = arrivalOf()
  const same = { ...result, alert, subject, playbook: 'test', step: 'act', id: 'id' }
  const all = { ...same, delivery: 2, dryRun: true, node: undefined }
  expect(reported).toEqual([
    { ...all, pod: undefined },
    { ...all, pod },
  ])
})
