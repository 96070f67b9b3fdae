// The responder by Kustomize: what the chart makes of the same playbooks, and open to an overlay.

import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { readPlan } from '../../src/respond/playbook/plan.ts'
import { rulesFor } from '../../src/respond/rbac.ts'
import { documents, HELMS, kustomize, type Manifest, named, ofKind } from '../support/helm.ts'
import { hasKubectl } from '../support/kubectl.ts'
import {
  BASE,
  containerOf,
  kindsOf,
  NAME,
  overlaid,
  playbooksIn,
  podOf,
  render,
} from '../support/respond-deploy.ts'

describe.skipIf(!hasKubectl)('the responder by Kustomize', () => {
  const base = hasKubectl ? kustomize(BASE) : []
  const config = playbooksIn(join(BASE, 'playbooks.yaml'))

  it.skipIf(HELMS.length === 0)('is what the chart makes of the same playbooks', () => {
    const byChart = render(HELMS[0]!.program, config)
    /** What is compared: neither labels nor the ways to name things. */
    const substance = (manifests: readonly Manifest[]) => {
      const { spec } = podOf(manifests)
      const { env, envFrom: _, ...container } = containerOf(manifests)
      const { topologySpreadConstraints, volumes: __, ...pod } = spec
      const { labelSelector: ___, ...spread } = topologySpreadConstraints[0]
      const { podSelector: ____, ...policy } = ofKind(manifests, 'NetworkPolicy').spec
      const { replicas } = ofKind(manifests, 'Deployment').spec
      return {
        kinds: kindsOf(manifests).filter((kind) => kind !== 'ConfigMap'),
        pod: { ...pod, containers: [container] },
        env: env.filter(({ name }: Manifest) => name !== 'FALCO_NATS_SERVER'),
        spread,
        replicas,
        rules: ofKind(manifests, 'ClusterRole').rules,
        binding: ofKind(manifests, 'ClusterRoleBinding').subjects,
        minAvailable: ofKind(manifests, 'PodDisruptionBudget').spec.minAvailable,
        policy,
      }
    }
    expect(substance(base)).toEqual(substance(byChart))
    const options = base.find(({ metadata }) => metadata.name.startsWith(`${NAME}-options-`))!
    const { env } = containerOf(byChart)
    expect(options.data).toEqual({ FALCO_NATS_SERVER: named(env, 'FALCO_NATS_SERVER').value })
  })

  it('is dry', () => {
    expect(config.dryRun).toBe(true)
  })

  it('reads what an overlay puts in its place, in pods that are new', () => {
    const rendered = overlaid()
    const container = containerOf(rendered)
    const of = (name: string) => rendered.find(({ metadata }) => metadata.name === name)!
    const { sources } = podOf(rendered).spec.volumes[0].projected
    const configMap = of(sources[0].configMap.name)
    expect(configMap).toMatchObject({
      kind: 'ConfigMap',
      metadata: { namespace: 'security' },
      data: { 'playbooks.yaml': 'dryRun: false\n' },
    })
    expect(configMap.metadata.name).not.toBe(
      podOf(base).spec.volumes[0].projected.sources[0].configMap.name,
    )
    expect(of(sources[1].secret.name)).toMatchObject({
      kind: 'Secret',
      data: { 'nats.creds': Buffer.from('a secret').toString('base64') },
    })
    expect(of(container.envFrom[0].configMapRef.name).data).toEqual({
      FALCO_NATS_SERVER: 'tls://b:4222',
    })
    const [subject] = ofKind(rendered, 'ClusterRoleBinding').subjects
    expect(subject).toMatchObject({ name: NAME, namespace: 'security' })
  })

  it('lets its policy and its budget meet its pods', () => {
    const { labels } = podOf(base).metadata
    for (const { matchLabels } of [
      ofKind(base, 'NetworkPolicy').spec.podSelector,
      ofKind(base, 'PodDisruptionBudget').spec.selector,
    ])
      expect(labels).toMatchObject(matchLabels)
  })

  it('asks for what the kustomize base gives', () => {
    const path = join(BASE, 'playbooks.yaml')
    const role = documents(readFileSync(join(BASE, 'rbac.yaml'), 'utf8')).find(
      ({ kind }) => kind === 'ClusterRole',
    )
    expect(rulesFor(readPlan(readFileSync(path, 'utf8'), path))).toEqual(role!.rules)
  })
})
