import { expect, it } from 'vitest'
import { describePlan } from '../../src/respond/check.ts'
import { fakeStep, planOf, playbookOf } from '../support/engine.ts'

it('has a line for what holds for all playbooks, and one for each', () => {
  const steps = ['one', 'two'].map((name) => fakeStep(() => '', { name }))
  const patient = playbookOf(steps, { name: 'patient', coolDownMs: 90_000 })
  const plan = planOf([playbookOf(steps.slice(1), { on: ['a', 'b.>'] }), patient], {
    maxActionsPerMinute: 60,
  })
  expect(describePlan(plan).split('\n')).toEqual([
    'ok    for real, at most 60 actions a minute',
    'ok    protected: kube-system, and our own',
    'ok    test: on a, b.>: two (4 at a time, 5 tries)',
    'ok    patient: on falco.notice.>: one, then two (4 at a time, 5 tries, cools down for 90s)',
    '',
  ])
  expect(describePlan({ ...plan, dryRun: true, protectedNamespaces: [] })).toMatch(
    /^ok {4}dry run: nothing will be done.*\nok {4}protected: no namespace, and our own\n/,
  )
})
