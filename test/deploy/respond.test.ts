// The responder as it is deployed: by the chart, by Kustomize, and what a real API server says of both.

import { spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { cpSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { parse } from 'yaml'
import { run } from '../../deploy/examples/respond/my-playbook.ts'
import pkg from '../../package.json' with { type: 'json' }
import { readPlan } from '../../src/respond/playbook/plan.ts'
import { rulesFor } from '../../src/respond/rbac.ts'
import { fixturePath } from '../support/fixtures.ts'
import {
  assembled,
  DEPLOY,
  documents,
  environmentOf,
  FALCO_CHARTS,
  HELMS,
  hasKubectl,
  helm,
  inYaml,
  kubectl,
  kustomize,
  type Manifest,
  named,
  nats,
  ofKind,
  RESTRICTED,
  set,
  template,
} from '../support/helm.ts'
import { hasKubernetes, type Kubernetes, startKubernetes } from '../support/kubernetes.ts'
import { tempDir } from '../support/temp.ts'

const BASE = join(DEPLOY, 'kustomize/respond')
const EXAMPLES = join(DEPLOY, 'examples/respond')
const EVERYTHING = ['-f', fixturePath('deploy/respond.yaml')]
const NAME = 'falco-nats-respond'

/** A file of playbooks, as the program would read it. */
const playbooksIn = (path: string): Manifest => parse(readFileSync(path, 'utf8'))

const PLAYBOOKS = readdirSync(EXAMPLES)
  .filter((file) => file.endsWith('.yaml'))
  .map((file): [string, Manifest] => [file, playbooksIn(join(EXAMPLES, file))])

const chart = () => assembled(FALCO_CHARTS.at(-1)!)

/** Only the responder, with these values of `respond`. */
function render(program: string, values: object, ...args: string[]): Manifest[] {
  using directory = tempDir()
  const file = directory.file('values.yaml')
  // JSON is YAML, and nobody takes a key `on` in quotes for anything else.
  writeFileSync(
    file,
    JSON.stringify({ falco: { enabled: false }, respond: { enabled: true, ...values } }),
  )
  return documents(template(program, chart(), '-f', file, ...args))
}

const playbook = (...steps: object[]) => ({ name: 'one', on: ['falco.>'], steps })
const podOf = (manifests: readonly Manifest[]) => ofKind(manifests, 'Deployment').spec.template
const containerOf = (manifests: readonly Manifest[]) => podOf(manifests).spec.containers[0]
const kindsOf = (manifests: readonly Manifest[]) => manifests.map(({ kind }) => kind).sort()
const configOf = (manifests: readonly Manifest[]): Manifest =>
  parse(ofKind(manifests, 'ConfigMap').data['playbooks.yaml'])

type Rule = readonly [group: string, resource: string, ...verbs: string[]]

const EVENTS: Rule = ['', 'events', 'create']
const NODE: Rule[] = [['', 'nodes', 'get', 'patch']]
const JOBS: Rule = ['batch', 'jobs', 'create']
const LOGS: Rule = ['', 'pods/log', 'get']
const POLICIES: Rule = ['networking.k8s.io', 'networkpolicies', 'create', 'get']

const A_JOB = { job: { spec: { template: { spec: { containers: [{ name: 'a' }] } } } } }

/** Step → what it needs, and nothing else. */
const RULES: [step: string, params: unknown, rules: Rule[]][] = [
  ['slack', { webhookUrlFile: '/x' }, []],
  ['webhook', { url: 'https://a' }, []],
  ['module', './mine.ts', []],
  ['delete-pod', {}, [EVENTS, ['', 'pods', 'delete', 'get']]],
  ['isolate-pod', {}, [EVENTS, ['', 'pods', 'get', 'patch'], POLICIES]],
  ['isolate-pod', null, [EVENTS, ['', 'pods', 'get', 'patch'], POLICIES]],
  ['isolate-pod', { ttl: '1h' }, [EVENTS, ['', 'pods', 'get', 'list', 'patch'], POLICIES]],
  ['label-pod', { labels: { a: 'b' } }, [EVENTS, ['', 'pods', 'get', 'patch']]],
  ['capture-logs', {}, [EVENTS, ['', 'pods', 'get'], LOGS]],
  ['taint-node', {}, NODE],
  ['cordon-node', {}, NODE],
  ['run-job', A_JOB, [['', 'nodes', 'get'], JOBS]],
]
const asRules = (rules: readonly Rule[]) =>
  rules.map(([group, resource, ...verbs]) => ({
    apiGroups: [group],
    resources: [resource],
    verbs,
  }))

describe.each(HELMS)('the responder by the chart, with $name', ({ program }) => {
  const manifests = (values: object, ...args: string[]) => render(program, values, ...args)
  const stepped = (...steps: object[]) => manifests({ playbooks: [playbook(...steps)] })
  const NONE = { playbooks: [playbook({ slack: {} })] }

  it('is not there unless it is switched on', () => {
    expect(template(program, chart())).not.toContain('respond')
    expect(() => ofKind(documents(template(program, chart())), 'DaemonSet')).not.toThrow()
    expect(manifests({ ...NONE, enabled: false })).toEqual([])
  })

  it('comes beside Falco, which it does not change', () => {
    const without = documents(template(program, chart()))
    using directory = tempDir()
    writeFileSync(directory.file('values'), inYaml([{ respond: { enabled: true, ...NONE } }]))
    const both = documents(template(program, chart(), '-f', directory.file('values')))
    const falco = both.filter(({ metadata }) => metadata.name !== NAME)
    expect(falco).toEqual(without)
    expect(both.length).toBeGreaterThan(without.length)
  })

  it('is dry until told otherwise, and protects what must not be touched', () => {
    expect(configOf(manifests(NONE))).toEqual({
      dryRun: true,
      maxActionsPerMinute: 60,
      protectedNamespaces: ['kube-system', 'falco', 'nats'],
      playbooks: NONE.playbooks,
    })
    expect(configOf(manifests(NONE, '--set', 'respond.dryRun=false')).dryRun).toBe(false)
    expect(named(containerOf(manifests(NONE)).env, 'POD_NAMESPACE').valueFrom).toEqual({
      fieldRef: { fieldPath: 'metadata.namespace' },
    })
  })

  it('hands the playbooks on as they were written', () => {
    const { respond } = playbooksIn(fixturePath('deploy/respond.yaml'))
    const config = configOf(documents(template(program, chart(), ...EVERYTHING)))
    const { dryRun, maxActionsPerMinute, protectedNamespaces, playbooks } = respond
    expect(config).toEqual({ dryRun, maxActionsPerMinute, protectedNamespaces, playbooks })
  })

  it.each(RULES)('may do for %s with %j what it needs, and nothing else', (step, params, rules) => {
    const rendered = stepped({ [step]: params })
    const kinds = ['ConfigMap', 'Deployment', 'NetworkPolicy', 'PodDisruptionBudget']
    const roles = rules.length > 0 ? ['ClusterRole', 'ClusterRoleBinding'] : []
    expect(kindsOf(rendered)).toEqual([...roles, ...kinds, 'ServiceAccount'].sort())
    if (rules.length > 0) expect(ofKind(rendered, 'ClusterRole').rules).toEqual(asRules(rules))
    expect(podOf(rendered).spec.automountServiceAccountToken).toBe(rules.length > 0)
  })

  it('may do for a chain what its steps need, one rule for each resource', () => {
    const rendered = manifests({
      playbooks: [
        playbook({ 'run-job': A_JOB }, { 'isolate-pod': {} }, { slack: {} }),
        { ...playbook({ 'delete-pod': {} }, { 'cordon-node': {} }), name: 'two' },
      ],
      extraRules: [{ apiGroups: ['apps'], resources: ['deployments'], verbs: ['get'] }],
    })
    expect(ofKind(rendered, 'ClusterRole').rules).toEqual(
      asRules([
        EVENTS,
        ...NODE,
        ['', 'pods', 'delete', 'get', 'patch'],
        JOBS,
        POLICIES,
        ['apps', 'deployments', 'get'],
      ]),
    )
    const { roleRef, subjects } = ofKind(rendered, 'ClusterRoleBinding')
    expect(roleRef).toMatchObject({ kind: 'ClusterRole', name: NAME })
    expect(subjects).toEqual([{ kind: 'ServiceAccount', name: NAME, namespace: 'falco' }])
    expect(ofKind(rendered, 'ServiceAccount').metadata.name).toBe(NAME)
    expect(podOf(rendered).spec.serviceAccountName).toBe(NAME)
  })

  it('starts new pods for new playbooks and files, and for nothing else', () => {
    const sum = (values: object) =>
      podOf(manifests({ ...NONE, ...values })).metadata.annotations['checksum/config']
    const files = (text: string) => ({ files: { 'mine.ts': text } })
    const different = [
      {},
      { dryRun: false },
      { playbooks: [playbook({ slack: {}, timeout: '5s' })] },
      files('1'),
      files('2'),
    ]
    expect(new Set(different.map(sum)).size).toBe(different.length)
    expect(sum({ replicas: 5 })).toBe(sum({}))
  })

  it('has few rights, bounds, probes, and time to finish what runs', () => {
    const rendered = manifests(NONE)
    const { spec } = podOf(rendered)
    const container = containerOf(rendered)
    expect(container).toMatchObject({
      image: `ghcr.io/falco-nats/falco-nats:${pkg.version}`,
      args: ['respond', '--config', '/etc/falco-nats/playbooks.yaml'],
      livenessProbe: { httpGet: { path: '/livez', port: 'metrics' } },
      readinessProbe: { httpGet: { path: '/readyz', port: 'metrics' } },
      ports: [{ name: 'metrics', containerPort: 9376 }],
      resources: { limits: { memory: '384Mi' }, requests: { memory: '128Mi' } },
    })
    expect(container.securityContext).toEqual(RESTRICTED)
    expect(spec.terminationGracePeriodSeconds).toBe(60)
    expect(spec.topologySpreadConstraints[0].whenUnsatisfiable).toBe('ScheduleAnyway')
    expect(ofKind(rendered, 'Deployment').spec.replicas).toBe(2)
    expect(ofKind(rendered, 'PodDisruptionBudget').spec.minAvailable).toBe(1)
  })

  it('has no disruption budget alone: a node could not be drained', () => {
    expect(kindsOf(manifests({ ...NONE, replicas: 1 }))).not.toContain('PodDisruptionBudget')
  })

  it('finds NATS as the sidecars do, or elsewhere', () => {
    const server = (...args: string[]) =>
      environmentOf(containerOf(manifests(NONE, ...args))).FALCO_NATS_SERVER
    expect(server()).toBe('nats://nats.nats:4222')
    expect(server(...set('falco.natsOutput.server=nats://a'))).toBe('nats://a')
    const both = ['falco.natsOutput.server=nats://a', 'respond.server=nats://b']
    expect(server(...set(...both))).toBe('nats://b')
  })

  it.each([
    ['everything', EVERYTHING],
    ['an NKey', set('respond.nkey.secretName=s')],
    ['a password', set('respond.user=u', 'respond.password.secretName=s')],
    ['a token', set('respond.token.secretName=s', 'respond.tlsCA.secretName=s')],
  ])('mounts each file that it names: %s', (_what, args) => {
    const rendered = manifests(NONE, ...args)
    const { volumeMounts, env } = containerOf(rendered)
    const { mountPath } = named(volumeMounts, 'falco-nats')
    const { sources } = named(podOf(rendered).spec.volumes, 'falco-nats').projected
    const paths = sources
      .flatMap(({ secret, configMap }: Manifest) => (secret ?? configMap).items ?? [])
      .map(({ path }: Manifest) => `${mountPath}/${path}`)
    const used = env
      .map(({ value }: Manifest) => value)
      .filter((value: unknown) => String(value).startsWith('/'))
    expect(paths.length).toBeGreaterThan(0)
    expect(used.sort()).toEqual(paths.sort())
  })

  it.each([
    ['slack', [playbook({ slack: {} })], [53, 53, 4222, 443]],
    ['a module', [playbook({ module: './x.ts' })], [53, 53, 4222]],
    ['delete-pod', [playbook({ 'delete-pod': {} })], [53, 53, 4222, 443, 6443]],
    [
      'webhooks',
      [
        playbook(
          { webhook: { url: 'https://a/x:1' } },
          { webhook: { url: 'https://b:8443/' } },
          { webhook: { url: 'http://c' } },
          { slack: { webhookUrlFile: '/etc/slack/url' } },
        ),
      ],
      [53, 53, 4222, 443, 8443, 80],
    ],
  ])('is let out to what it needs, by policy: %s', (_what, playbooks, expected) => {
    const { egress, ingress } = ofKind(manifests({ playbooks }), 'NetworkPolicy').spec
    const ports = egress.flatMap((rule: Manifest) => rule.ports.map(({ port }: Manifest) => port))
    expect(ports).toEqual(expected)
    expect(ingress).toEqual([{ ports: [{ protocol: 'TCP', port: 9376 }] }])
    const off = manifests({ playbooks, networkPolicy: { enabled: false } })
    expect(kindsOf(off)).not.toContain('NetworkPolicy')
  })

  it('lets its PodMonitor and its policy meet its pods', () => {
    const rendered = documents(template(program, chart(), ...EVERYTHING))
    const { labels } = podOf(rendered).metadata
    for (const selector of [
      ofKind(rendered, 'PodMonitor').spec.selector,
      ofKind(rendered, 'PodDisruptionBudget').spec.selector,
      ofKind(rendered, 'Deployment').spec.selector,
      ofKind(rendered, 'NetworkPolicy').spec.podSelector,
    ])
      expect(labels).toMatchObject(selector.matchLabels)
    const [endpoint] = ofKind(rendered, 'PodMonitor').spec.podMetricsEndpoints
    expect(endpoint.port).toBe(containerOf(rendered).ports[0].name)
  })

  it.each([
    ['no playbooks', {}, 'without respond.playbooks'],
    ['an unknown value', { ...NONE, dry: true }, "'dry' not allowed"],
    ['dryRun that is text', { ...NONE, dryRun: 'false' }, 'got string, want boolean'],
    ['a cap of 0', { ...NONE, maxActionsPerMinute: 0 }, 'minimum'],
    ['a bad name', { playbooks: [{ ...playbook({ slack: {} }), name: 'A b' }] }, 'match pattern'],
    [
      'the same name twice',
      { playbooks: [playbook({ slack: {} }), playbook({ webhook: {} })] },
      'two are called one',
    ],
    ['no subjects', { playbooks: [{ name: 'x', steps: [{ slack: {} }] }] }, 'x has no on'],
    ['no steps', { playbooks: [playbook()] }, 'minItems'],
    ['a step that is none', { playbooks: [playbook({ 'delete-node': {} })] }, "'delete-node'"],
    ['two steps in one', { playbooks: [playbook({ slack: {}, webhook: {} })] }, 'oneOf'],
    ['a step without what it needs', { playbooks: [playbook({ 'label-pod': {} })] }, 'labels'],
    ['an unknown parameter', { playbooks: [playbook({ 'isolate-pod': { tll: '1h' } })] }, "'tll'"],
    ['a step of text', { playbooks: [playbook({ slack: 'x' })] }, 'got string'],
    [
      'too much at a time',
      { playbooks: [{ ...playbook({ slack: {} }), concurrency: 101 }] },
      'maximum',
    ],
    ['no namespace', { ...NONE, protectedNamespaces: ['Kube'] }, 'match pattern'],
    ['with, but no module', { playbooks: [playbook({ slack: {}, with: {} })] }, "'with'"],
    ['a bad timeout', { playbooks: [playbook({ slack: {}, timeout: 'soon' })] }, 'soon'],
    ['a file elsewhere', { ...NONE, files: { '../x.ts': '' } }, '../x.ts'],
    ['two logins', { ...NONE, user: 'a', creds: { secretName: 'b' } }, 'respond.creds and'],
  ])('answers %s', (_what, values, message) => {
    expect(() => manifests(values)).toThrow(message)
  })

  it('understands `on` without quotes, which is true to Helm', () => {
    using directory = tempDir()
    writeFileSync(
      directory.file('values'),
      'respond: { enabled: true, playbooks: [{ name: a, on: [x], steps: [{ slack: {} }] }] }',
    )
    const args = ['-f', directory.file('values'), '--set', 'falco.enabled=false']
    expect(configOf(documents(template(program, chart(), ...args))).playbooks).toEqual([
      { name: 'a', on: ['x'], steps: [{ slack: {} }] },
    ])
  })

  it.each(PLAYBOOKS)('takes the example %s', (_file, values) => {
    expect(configOf(manifests(values))).toMatchObject(values)
  })

  it('renders what a person can read in fixtures/deploy/respond.snapshot.yaml', async () => {
    const rendered = documents(template(program, chart(), ...EVERYTHING))
    await expect(inYaml(rendered)).toMatchFileSnapshot(fixturePath('deploy/respond.snapshot.yaml'))
  })

  it.each([
    ['as it is on', set('respond.playbooks[0].name=a')],
    ['with every value set', EVERYTHING],
  ])('passes a strict lint, %s', (_what, args) => {
    const on = set(
      'respond.enabled=true',
      'respond.playbooks[0].on=x',
      'respond.playbooks[0].steps[0].slack.webhookUrlFile=/x',
    )
    const flags = ['--kube-version', '1.33.0', ...(args === EVERYTHING ? [] : on), ...args]
    const said = helm(program, 'lint', '--strict', chart(), ...flags)
    expect(said).toContain('1 chart(s) linted, 0 chart(s) failed')
  })
})

/** An overlay as the base's own comment has it. */
function overlaid(): Manifest[] {
  using directory = tempDir()
  const file = (name: string, content: string) =>
    writeFileSync(directory.file(`overlay/${name}`), content)
  cpSync(BASE, directory.file('base'), { recursive: true })
  mkdirSync(directory.file('overlay'))
  file('playbooks.yaml', 'dryRun: false\n')
  file('nats.creds', 'a secret')
  const merge = { behavior: 'merge' }
  const overlay = {
    namespace: 'security',
    resources: ['../base'],
    configMapGenerator: [
      { name: NAME, ...merge, files: ['playbooks.yaml'] },
      { name: `${NAME}-options`, ...merge, literals: ['FALCO_NATS_SERVER=tls://b:4222'] },
    ],
    secretGenerator: [{ name: NAME, files: ['nats.creds'] }],
  }
  file('kustomization.yaml', inYaml([overlay]))
  return kustomize(directory.file('overlay'))
}

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
})

const planOf = (manifests: readonly Manifest[]) =>
  readPlan(ofKind(manifests, 'ConfigMap').data['playbooks.yaml'], '/etc/falco-nats/playbooks.yaml')

describe.skipIf(HELMS.length === 0)('the program', () => {
  const byChart = (values: object) => render(HELMS[0]!.program, values)

  it.each(RULES)('asks for %s with %j what the chart gives', (step, params, rules) => {
    const rendered = byChart({ playbooks: [playbook({ [step]: params })] })
    expect(rulesFor(planOf(rendered))).toEqual(asRules(rules))
  })

  it.each(PLAYBOOKS)(
    'understands the example %s, dry, and asks for what the chart gives',
    (_file, values) => {
      const rendered = byChart(values)
      const plan = planOf(rendered)
      expect(plan.dryRun).toBe(true)
      const given = rendered.find(({ kind }) => kind === 'ClusterRole')?.rules ?? []
      expect(rulesFor(plan)).toEqual(given)
    },
  )

  it('understands every value', () => {
    const plan = planOf(documents(template(HELMS[0]!.program, chart(), ...EVERYTHING)))
    expect(plan).toMatchObject({ dryRun: false, maxActionsPerMinute: 100_000 })
    expect(plan.playbooks.map(({ name }) => name)).toEqual(['contain', 'mine'])
  })

  it('asks for what the kustomize base gives', () => {
    const path = join(BASE, 'playbooks.yaml')
    const role = documents(readFileSync(join(BASE, 'rbac.yaml'), 'utf8')).find(
      ({ kind }) => kind === 'ClusterRole',
    )
    expect(rulesFor(readPlan(readFileSync(path, 'utf8'), path))).toEqual(role!.rules)
  })
})

describe('the values of respond', () => {
  const text = readFileSync(join(DEPLOY, 'helm/falco-nats/values.yaml'), 'utf8')
  const values = parse(text).respond
  const schema = playbooksIn(join(DEPLOY, 'helm/falco-nats/values.schema.json')).$defs.respond

  it('are all known to the schema, and all tried', () => {
    const keys = Object.keys(values).sort()
    expect(Object.keys(schema.properties).sort()).toEqual(keys)
    const tried = playbooksIn(fixturePath('deploy/respond.yaml')).respond
    const logins = ['nkey', 'password', 'token', 'user']
    expect([...Object.keys(tried), ...logins].sort()).toEqual(keys)
  })

  it('are all described', () => {
    const lines = text.slice(text.indexOf('\nrespond:\n') + 10).split('\n')
    const at = (depth: number, index: number) => lines[index]?.match(`^ {${depth}}(# --|\\w)`)
    const undescribed = lines.filter(
      (line, index) =>
        /^ {2}\w/.test(line) && !lines[index - 1]?.startsWith('  # --') && !at(4, index + 1),
    )
    expect(lines.length).toBeGreaterThan(90)
    expect(undescribed).toEqual([])
  })
})

describe('the examples', () => {
  it('are those of the walk-through, without a word on whether they act', () => {
    const steps = PLAYBOOKS.map(([file, { playbooks, ...rest }]) => {
      expect(rest).toEqual({})
      return [file, playbooks[0].steps.map((step: object) => Object.keys(step)[0])]
    })
    expect(Object.fromEntries(steps)).toEqual({
      'shell-delete-pod.yaml': ['delete-pod'],
      'error-slack.yaml': ['slack'],
      'api-server-contact-taint.yaml': ['taint-node'],
      'critical-contain.yaml': ['isolate-pod', 'capture-logs', 'webhook'],
      'own-module.yaml': ['module'],
      'capture-job.yaml': ['run-job'],
    })
  })

  it('have a module that does what it says', async () => {
    const posted: unknown[] = []
    let status = 200
    const server = createServer(async (request, response) => {
      posted.push([request.headers['idempotency-key'], JSON.parse(await text(request))])
      response.writeHead(status).end()
    }).listen(0, '127.0.0.1')
    await once(server, 'listening')
    try {
      const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/`
      const { signal } = new AbortController()
      const context = { id: 'one', with: { url }, dryRun: false, signal }
      const alert = { rule: 'Shell', output_fields: { 'user.name': 'ada' } }
      expect(await run(alert, { ...context, dryRun: true })).toBe('would tell of ada')
      const nobody = { rule: 'Shell', output_fields: { 'user.name': null } }
      expect(await run(nobody, context)).toEqual({ skipped: 'the alert names no user' })
      expect(posted).toEqual([])
      expect(await run(alert, context)).toBe('told of ada')
      expect(posted).toEqual([['one', { user: 'ada', rule: 'Shell' }]])
      status = 503
      await expect(run(alert, context)).rejects.toThrow('answered 503')
    } finally {
      server.close()
    }
  })
})

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
    const manifests = make()
    const known = manifests.filter((manifest) => kubernetes.knows(manifest))
    for (const { kind } of manifests.filter((manifest) => !known.includes(manifest)))
      console.info(`skipped: ${kind}, since no directory of KUBE_CRDS defines it`)
    expect(known.length).toBeGreaterThanOrEqual(5)
    kubernetes.dryRun(known)
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
    const install = (...args: string[]) => {
      const flags = ['--kubeconfig', kubernetes.kubeconfig, '-n', 'falco', '--dry-run=server']
      return helm(program, 'install', 'falco', chart(), ...flags, ...args).split('NOTES:')[1]
    }
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

const ALL_STEPS = RULES.map(([step, params], index) => ({
  ...playbook({ [step]: params }),
  name: `step-${index}`,
}))
