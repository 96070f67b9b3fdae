// That each step needs just the permissions that it names: with them it works, without any one of them it
// says which is missing.

import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { checkNode, checkPod } from '../../../src/respond/engine/guard.ts'
import { liftExpiredIsolation } from '../../../src/respond/engine/lift-isolation.ts'
import { noteOnPod } from '../../../src/respond/kubernetes/pod-event.ts'
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
import { hasKubernetes, type Kubernetes, startKubernetes } from '../../support/kubernetes.ts'
import { contextOf, run } from '../../support/step-context.ts'
import {
  clusterAt,
  nodeManifest,
  podManifest,
  podTarget,
  shellAlert,
} from '../../support/targets.ts'
import { soon, until } from '../../support/wait.ts'

interface Case {
  // biome-ignore lint/suspicious/noExplicitAny: each checks its own parameters
  readonly step: Step<any>
  readonly params: object
  /** What the step itself does not ask for: see isolation.ts. */
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
  let kubernetes: Kubernetes
  let targets = 0

  beforeAll(async () => {
    kubernetes = await startKubernetes()
  })
  afterAll(() => kubernetes?.[Symbol.asyncDispose]())

  async function actWith({ step, params }: Case, rules: readonly RbacRule[]) {
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
    // That Events are left is not the step's: see the last test.
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

  it('lifts isolation with the rules of a ttl, and says so without', async () => {
    const rules = isolatePod.rules({ ttl: 3_600_000 })
    const list = apart(rules).filter((rule) => nameOf(rule) === 'list pods')
    expect(list).toHaveLength(1)
    const lines: string[] = []
    const { log } = contextOf(clusterAt(kubernetes.kubeconfig))
    const telling = Object.assign(Object.create(log), {
      warn: ({ err }: { err: string }) => lines.push(err),
    })
    const outdated = {
      labels: { 'falco-nats.io/isolated': 'true' },
      annotations: { 'falco-nats.io/isolated-until': '2026-01-01T00:00:00Z' },
    }
    kubernetes.apply(podManifest('default', 'isolated', outdated))
    const now = () => kubernetes.get('pod', 'isolated', 'default')!.metadata

    for (const [allowed, seen] of [
      [[], () => lines.some((line) => /^list pods: .*forbidden/.test(line))],
      [list, () => lines.some((line) => /^patch pods: .*forbidden/.test(line))],
      [rules, () => now().labels === undefined],
    ] as const) {
      const stop = new AbortController()
      const cluster = clusterAt(await kubernetes.userWith(allowed))
      const options = { signal: stop.signal, log: telling, dryRun: false, everyMs: 50 }
      const lifting = liftExpiredIsolation(cluster, options)
      await until(`what it may is seen: ${allowed.length}`, seen)
      stop.abort()
      await lifting
    }
    expect(now().annotations?.['falco-nats.io/isolated-until']).toBeUndefined()
    // However often it looks.
    expect(lines).toHaveLength(2)
  })

  it('may be forbidden to leave Events', async () => {
    const [pod] = kubernetes.apply(podManifest('default', 'noted'))
    const cluster = clusterAt(await kubernetes.userWith([]))
    const note = { reason: 'FalcoNats', message: 'text', type: 'Normal' } as const
    await expect(noteOnPod(cluster, podTarget(pod!), note, soon())).rejects.toThrow(
      /^create events: .*forbidden/,
    )
  })
})
