// What a real API server says of the responder as it is deployed, and what helm does there.

import { spawnSync } from 'node:child_process'
import { cpSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { chart, installNotes, takes } from '../support/deploy.ts'
import {
  documents,
  HELMS,
  helm,
  inYaml,
  kustomize,
  type Manifest,
  nats,
  set,
  template,
} from '../support/helm.ts'
import { kubectl } from '../support/kubectl.ts'
import { hasKubernetes, type Kubernetes, startKubernetes } from '../support/kubernetes.ts'
import {
  BASE,
  EVERYTHING,
  kindsOf,
  NAME,
  overlaid,
  PLAYBOOKS,
  playbook,
  playbooksIn,
  podOf,
  RULES,
  render,
} from '../support/respond-deploy.ts'
import { tempDir } from '../support/temp.ts'

const ALL_STEPS = RULES.map(([step, params], index) => ({
  ...playbook({ [step]: params }),
  name: `step-${index}`,
}))

describe.skipIf(!hasKubernetes)('a real API server, of the responder', () => {
  let kubernetes: Kubernetes
  beforeAll(async () => {
    kubernetes = await startKubernetes()
    for (const name of ['falco', 'security', 'restricted']) kubernetes.namespace(name)
    const label = 'pod-security.kubernetes.io/enforce=restricted'
    const args = ['--kubeconfig', kubernetes.kubeconfig, 'label', 'namespace', 'restricted', label]
    expect(spawnSync(kubectl, args).status).toBe(0)
  })
  afterAll(() => kubernetes?.[Symbol.asyncDispose]())

  const RENDERS: [what: string, make: () => Manifest[]][] = [
    ['the kustomize base', () => kustomize(BASE)],
    ['an overlay of it', overlaid],
    ...HELMS.flatMap(({ name, program }): [string, () => Manifest[]][] => [
      [`${name}, all steps`, () => render(program, { playbooks: ALL_STEPS })],
      [`${name}, every value`, () => documents(template(program, chart(), ...EVERYTHING))],
      ...PLAYBOOKS.map(([file, values]): [string, () => Manifest[]] => [
        `${name}, ${file}`,
        () => render(program, values),
      ]),
    ]),
  ]

  it.each(RENDERS)('takes it, strictly: %s', (_what, make) => {
    takes(kubernetes, make(), 5)
  })

  it.each(RENDERS)('lets its pod into a namespace that is restricted: %s', (_what, make) => {
    const { spec } = podOf(make())
    const metadata = { name: 'respond', namespace: 'restricted' }
    const pod = { apiVersion: 'v1', kind: 'Pod', metadata, spec }
    kubernetes.dryRun([pod])
    const [container] = spec.containers
    const { securityContext: _, ...loose } = container
    const open = { ...pod, spec: { ...spec, containers: [loose] } }
    expect(() => kubernetes.dryRun([open])).toThrow('violates PodSecurity')
  })

  it('takes the Job of the example', () => {
    const [, { playbooks }] = PLAYBOOKS.find(([file]) => file === 'capture-job.yaml')!
    const { metadata, spec } = playbooks[0].steps[0]['run-job'].job
    const { template } = spec
    const made = { ...template.spec, restartPolicy: 'Never', nodeName: 'node-1' }
    kubernetes.dryRun([
      {
        apiVersion: 'batch/v1',
        kind: 'Job',
        metadata: { ...metadata, name: 'capture', namespace: 'falco' },
        spec: { ...spec, template: { spec: made } },
      },
    ])
    // What is made of it: nothing of the alert gets into what is run.
    expect(JSON.stringify(spec)).not.toContain('{{')
  })

  it.each(HELMS)('has $name install it, and say where to look', ({ program }) => {
    const install = (...args: string[]) => installNotes(program, kubernetes, args)
    const notes = install(...EVERYTHING)
    expect(notes).toContain('2 playbook(s).')
    expect(notes).toContain(`logs deployment/${NAME}`)
    const dry = install(...EVERYTHING, ...set('respond.dryRun=true'))
    expect(dry).toContain('respond.dryRun=false lets it')
  })

  it.each(HELMS)(
    'lets $name upgrade from a chart that knew no responder, with --reuse-values',
    ({ name, program }) => {
      using directory = tempDir()
      const older = directory.file('falco-nats')
      cpSync(chart(), older, { recursive: true })
      const { falco } = playbooksIn(join(older, 'values.yaml'))
      const { enabled: _, ...values } = falco
      writeFileSync(join(older, 'values.yaml'), inYaml([{ falco: values }]))
      const run = (verb: string, ...args: string[]) =>
        helm(program, verb, 'falco', ...args, ...ofRelease(name))
      kubernetes.namespace(name)
      run('install', older)
      run('upgrade', chart(), '--reuse-values', ...nats())
      const manifest = helm(program, 'get', 'manifest', 'falco', ...ofRelease(name))
      expect(kindsOf(documents(manifest))).toContain('DaemonSet')
      expect(manifest).not.toContain(NAME)
      helm(program, 'uninstall', 'falco', ...ofRelease(name))
    },
  )

  const ofRelease = (namespace: string) => ['--kubeconfig', kubernetes.kubeconfig, '-n', namespace]
})
