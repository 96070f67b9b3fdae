// The responder by the chart: what it renders, what it may do, and what the program makes of it.

import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { parse } from 'yaml'
import pkg from '../../package.json' with { type: 'json' }
import { rulesFor } from '../../src/respond/rbac.ts'
import { chart, optionEnv, withoutOptions } from '../support/deploy.ts'
import { fixturePath } from '../support/fixtures.ts'
import {
  DEPLOY,
  documents,
  environmentOf,
  HELMS,
  helm,
  inYaml,
  type Manifest,
  named,
  ofKind,
  RESTRICTED,
  set,
  template,
} from '../support/helm.ts'
import {
  A_JOB,
  asRules,
  configOf,
  containerOf,
  EVENTS,
  EVERY_VALUE,
  EVERYTHING,
  JOBS,
  kindsOf,
  NAME,
  NODE,
  PLAYBOOKS,
  POLICIES,
  planOf,
  playbook,
  playbooksIn,
  podOf,
  RULES,
  render,
} from '../support/respond-deploy.ts'
import { tempDir } from '../support/temp.ts'

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

  it('has each option as it is written', () => {
    const { env } = containerOf(documents(template(program, chart(), ...EVERYTHING)))
    expect(env).toEqual(expect.arrayContaining(optionEnv('respond', EVERY_VALUE)))
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
    const text = inYaml(withoutOptions('respond', rendered))
    await expect(text).toMatchFileSnapshot(fixturePath('deploy/respond.snapshot.yaml'))
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
})

describe('the values of respond', () => {
  const text = readFileSync(join(DEPLOY, 'helm/falco-nats/values.yaml'), 'utf8')
  const values = parse(text).respond
  const schema = playbooksIn(join(DEPLOY, 'helm/falco-nats/values.schema.json')).$defs.respond

  it('are all known to the schema, and all tried', () => {
    const keys = Object.keys(values).sort()
    expect(Object.keys(schema.properties).sort()).toEqual(keys)
    const logins = ['nkey', 'password', 'token']
    expect([...Object.keys(EVERY_VALUE), ...logins].sort()).toEqual(keys)
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
