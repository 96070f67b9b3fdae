import { expect, it } from 'vitest'
import type { StepOutcome } from '../../../src/respond/engine/outcomes.ts'
import { type Run, report } from '../../../src/respond/engine/run.ts'
import { fakeStep, planned } from '../../support/engine.ts'

it('reports each step with the targets that were found by then', () => {
  const reported: StepOutcome[] = []
  const outcomes = { report: (outcome: StepOutcome) => void reported.push(outcome) }
  const alert = { rule: 'r', priority: 'Notice' }
  const about = { alert, id: 'id', subject: 's', playbook: 'p', dryRun: true }
  const run = { outcomes, about, delivery: 2, found: {} } as unknown as Run
  const step = planned(fakeStep(() => 'done', { name: 'act' }))
  const result = { outcome: 'dry_run', text: 'would', durationMs: 1 } as const
  const pod = { namespace: 'n', name: 'p', uid: 'u', nodeName: undefined }
  report(run, step, result)
  Object.assign(run.found, { pod, node: 'there is no node n' })
  report(run, step, result)
  const all = { ...about, ...result, step: 'act', delivery: 2, node: undefined }
  expect(reported).toEqual([
    { ...all, pod: undefined },
    { ...all, pod },
  ])
})
