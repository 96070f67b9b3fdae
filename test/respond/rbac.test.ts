import { expect, it } from 'vitest'
import { parse } from 'yaml'
import { z } from 'zod'
import type { Plan } from '../../src/respond/playbook/playbook.ts'
import { rbacYaml, rulesFor } from '../../src/respond/rbac.ts'
import type { RbacRule, Step, TargetKind } from '../../src/respond/steps/step.ts'

function step(name: string, target: TargetKind, rules: RbacRule[] = []): Step {
  return {
    name,
    params: z.unknown(),
    target,
    repeatable: true,
    rules: (params) => (params === 'none' ? [] : rules),
    run: async () => ({ outcome: 'ok', detail: '' }),
  }
}

function plan(...playbooks: [Step, unknown?][][]): Plan {
  return {
    dryRun: true,
    maxActionsPerMinute: 60,
    protectedNamespaces: [],
    playbooks: playbooks.map((steps, index) => ({
      name: `p${index}`,
      on: ['falco.>'],
      match: {},
      steps: steps.map(([step, params]) => ({
        step,
        params,
        timeoutMs: 1,
        continueOnError: false,
      })),
      concurrency: 1,
      maxDeliver: 1,
      coolDownMs: 0,
    })),
  }
}

const slack = step('slack', 'none')
const kill = step('delete-pod', 'pod', [
  { apiGroups: [''], resources: ['pods'], verbs: ['delete'] },
])
const fence = step('isolate-pod', 'pod', [
  { apiGroups: [''], resources: ['pods'], verbs: ['patch'] },
  { apiGroups: ['networking.k8s.io'], resources: ['networkpolicies'], verbs: ['get', 'create'] },
])
const taint = step('taint-node', 'node', [
  { apiGroups: [''], resources: ['nodes'], verbs: ['patch'] },
])

it('needs nothing for what has nothing to do with Kubernetes', () => {
  expect(rulesFor(plan([[slack]]))).toEqual([])
  expect(rbacYaml(plan([[slack]]))).toBe('rules: []\n')
})

it('merges the steps and what looking at their targets needs', () => {
  expect(rulesFor(plan([[fence], [slack]], [[kill], [taint], [fence]]))).toEqual([
    { apiGroups: [''], resources: ['events'], verbs: ['create'] },
    { apiGroups: [''], resources: ['nodes'], verbs: ['get', 'patch'] },
    { apiGroups: [''], resources: ['pods'], verbs: ['delete', 'get', 'patch'] },
    { apiGroups: ['networking.k8s.io'], resources: ['networkpolicies'], verbs: ['create', 'get'] },
  ])
})

it('asks each step with its own parameters', () => {
  expect(rulesFor(plan([[taint, 'none']]))).toEqual([
    { apiGroups: [''], resources: ['nodes'], verbs: ['get'] },
  ])
})

it('prints them as YAML', () => {
  const plans = plan([[fence], [taint]])
  expect(parse(rbacYaml(plans))).toEqual({ rules: rulesFor(plans) })
  expect(rbacYaml(plan([[taint]]))).toBe(
    'rules:\n  - apiGroups: [""]\n    resources: ["nodes"]\n    verbs: ["get", "patch"]\n',
  )
})
