// That each step needs just the permissions that it names: with them it works, without any one of them it
// says which is missing.

import { describe, expect, it } from 'vitest'
import { checkNode, checkPod } from '../../../src/respond/engine/guard.ts'
import type { NodeTarget, PodTarget } from '../../../src/respond/kubernetes/target.ts'
import { rulesFor } from '../../../src/respond/rbac.ts'
import { captureLogs } from '../../../src/respond/steps/capture-logs.ts'
import { cordonNode } from '../../../src/respond/steps/cordon-node.ts'
import { deletePod } from '../../../src/respond/steps/delete-pod.ts'
import { isolatePod } from '../../../src/respond/steps/isolate-pod.ts'
import { labelPod } from '../../../src/respond/steps/label-pod.ts'
import { runJob } from '../../../src/respond/steps/run-job.ts'
import type { RbacRule, Step } from '../../../src/respond/steps/step.ts'
import { taintNode } from '../../../src/respond/steps/taint-node.ts'
import { planned, planOf, playbookOf } from '../../support/engine.ts'
import { hasKubernetes } from '../../support/kubernetes.ts'
import { liveTargets } from '../../support/live-targets.ts'
import { contextOf, run } from '../../support/step-context.ts'
import { clusterAt, nodeManifest, podManifest, shellAlert } from '../../support/targets.ts'
import { soon } from '../../support/wait.ts'

interface Case {
  // biome-ignore lint/suspicious/noExplicitAny: each checks its own parameters
  readonly step: Step<any>
  readonly params: object
  /** What the step itself does not ask for: see lift-isolation.ts. */
  readonly later?: string
}
const containers = [{ name: 'main', image: 'busybox' }]
const CASES: Case[] = [
  { step: deletePod, params: {} },
  { step: isolatePod, params: {} },
  { step: isolatePod, params: { ttl: '1h' }, later: 'list pods' },
  { step: labelPod, params: { labels: { seen: 'yes' } } },
  { step: taintNode, params: {} },
  { step: cordonNode, params: {} },
  { step: captureLogs, params: { bucket: 'logs' } },
  { step: runJob, params: { job: { spec: { template: { spec: { containers } } } } } },
]

/** One for each permission. */
const apart = (rules: readonly RbacRule[]): RbacRule[] =>
  rules.flatMap(({ apiGroups, resources, verbs }) =>
    resources.flatMap((resource) =>
      verbs.map((verb) => ({ apiGroups, resources: [resource], verbs: [verb] })),
    ),
  )
const nameOf = ({ resources, verbs }: RbacRule) => `${verbs[0]} ${resources[0]}`

describe.skipIf(!hasKubernetes)('with a real API server', () => {
  const live = liveTargets()
  let targets = 0

  async function actWith({ step, params }: Case, rules: readonly RbacRule[]) {
    const { kubernetes } = live
    const cluster = clusterAt(await kubernetes.userWith(rules))
    const namespace = `target-${++targets}`
    kubernetes.namespace(namespace)
    // They are called alike.
    const pod = podManifest(namespace, 'web', { nodeName: namespace })
    kubernetes.apply(pod, nodeManifest(namespace))
    const fields = { 'k8s.ns.name': namespace, 'k8s.pod.name': 'web' }
    const alert = shellAlert(fields, { hostname: namespace })
    const signal = soon()
    const target =
      step.target === 'pod'
        ? { pod: (await checkPod(cluster, alert, [], signal)) as PodTarget }
        : { node: (await checkNode(cluster, alert, signal)) as NodeTarget }
    expect(target).toMatchObject({ [step.target]: { uid: expect.any(String) } })
    const bucket = async () => ({ put: async () => {} })
    const context = contextOf(cluster, { id: `alert-${targets}`, ...target, bucket })
    return run(step, params, context)
  }

  describe.each(CASES)('$step.name $params', (each) => {
    const { step, params, later } = each
    // That Events are left is not the step's: see pod-event.test.ts.
    const needed = apart(
      rulesFor(planOf([playbookOf([planned(step, { params: step.params.parse(params) })])])),
    ).filter((rule) => nameOf(rule) !== 'create events')

    it('works with what it names', async () => {
      const acted = actWith(each, needed)
      // There is no kubelet, so that of logs goes as far as the node, which has no address.
      if (step === captureLogs)
        await expect(acted).rejects.toThrow(/^get pods\/log: (?!.*forbidden)/)
      else expect(await acted).toMatchObject({ outcome: 'ok' })
    })

    it.each(needed.map((rule) => [nameOf(rule), rule] as const).filter(([name]) => name !== later))(
      'says so without %s',
      async (name, missing) => {
        const rest = needed.filter((rule) => rule !== missing)
        const [verb, resource] = name.split(' ') as [string, string]
        const group = missing.apiGroups[0]
        await expect(actWith(each, rest)).rejects.toMatchObject({
          message: expect.stringMatching(
            `^${name}: .*forbidden: User "[^"]+" cannot ${verb} resource "${resource}" in API group "${group}"`,
          ),
          retryable: true,
        })
      },
    )
  })
})
