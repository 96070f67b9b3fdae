// What is deployed: taken by a real API server, kustomized, and understood by the program.

import { cpSync, existsSync, mkdirSync, readdirSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { OPTIONS } from '../../src/forward/options.ts'
import { envName } from '../../src/shared/options/table.ts'
import { runFalcoNats } from '../support/cli.ts'
import { chart, everyValue, installNotes, takes } from '../support/deploy.ts'
import { fixturePath } from '../support/fixtures.ts'
import {
  DEPLOY,
  documents,
  environmentOf,
  FALCO_CHARTS,
  HELMS,
  helm,
  inYaml,
  kustomize,
  type Manifest,
  manifestsIn,
  named,
  nats,
  ofKind,
  podOf,
  sidecarOf,
  template,
} from '../support/helm.ts'
import { hasKubectl } from '../support/kubectl.ts'
import { hasKubernetes, type Kubernetes, startKubernetes } from '../support/kubernetes.ts'
import { startNats } from '../support/nats.ts'
import { tempDir } from '../support/temp.ts'

const OPERATOR = manifestsIn(join(DEPLOY, 'operator/falco.yaml'))
const VALUES = manifestsIn(join(DEPLOY, 'helm/values-falco-nats.yaml'))[0]!
/** Files with nothing but manifests, as they are applied. */
const PLAIN = readdirSync(DEPLOY, { recursive: true, encoding: 'utf8' })
  .filter((path) => path.endsWith('.yaml') && !/^(helm|kustomize)\//.test(path))
  .filter((path) => manifestsIn(join(DEPLOY, path)).every(({ kind, metadata }) => kind && metadata))
const anyHelm = HELMS.at(-1)
const byChart = (...args: string[]) => documents(template(anyHelm!.program, chart(), ...args))
const { args: EVERYTHING } = everyValue('natsOutput', 'deploy/everything.yaml')

/** A pod template as falco-operator would merge it, in an object that every API server knows. */
function operatorDaemonSet(): Manifest {
  const { spec } = ofKind(OPERATOR, 'Falco').spec.podTemplateSpec
  const labels = { app: 'falco' }
  const containers = [{ ...spec.containers[0], image: 'falcosecurity/falco:0.44.1' }]
  return {
    apiVersion: 'apps/v1',
    kind: 'DaemonSet',
    metadata: { name: 'falco', namespace: 'falco' },
    spec: {
      selector: { matchLabels: labels },
      template: { metadata: { labels }, spec: { ...spec, containers } },
    },
  }
}

/** The component, over manifests that are somebody else's. */
function kustomized(manifests: readonly Manifest[]): Manifest[] {
  using directory = tempDir()
  const file = (name: string, content: string) => writeFileSync(directory.file(name), content)
  cpSync(join(DEPLOY, 'kustomize'), directory.file('component'), { recursive: true })
  mkdirSync(directory.file('overlay'))
  file('overlay/falco.yaml', inYaml(manifests))
  file('overlay/nats.creds', 'a secret')
  const overlay = {
    namespace: 'falco',
    resources: ['falco.yaml'],
    components: ['../component'],
    configMapGenerator: [
      { name: 'falco-nats', literals: ['FALCO_NATS_SERVER=tls://nats.example.com:4222'] },
    ],
    secretGenerator: [{ name: 'falco-nats', files: ['nats.creds'] }],
  }
  file('overlay/kustomization.yaml', inYaml([overlay]))
  return kustomize(directory.file('overlay'))
}

const UNKNOWN_FALCOS: [what: string, manifests: () => Manifest[]][] = [
  ['a manifest by hand', () => manifestsIn(fixturePath('deploy/plain.yaml'))],
]
if (anyHelm)
  for (const falco of FALCO_CHARTS)
    UNKNOWN_FALCOS.push([
      `a render of ${falco.name}`,
      () => documents(template(anyHelm.program, falco.path)),
    ])

describe.skipIf(!hasKubectl).each(UNKNOWN_FALCOS)(
  'the kustomize component on %s',
  (_what, make) => {
    const before = podOf(make())
    const rendered = hasKubectl ? kustomized(make()) : []

    it('puts the sidecar first and keeps what is there', () => {
      const names = (list: Manifest[] = []) => list.map(({ name }) => name)
      const pod = podOf(rendered)
      expect(names(pod.initContainers)).toEqual(['falco-nats', ...names(before.initContainers)])
      expect(names(pod.containers)).toEqual(names(before.containers))
      expect(names(pod.volumes)).toEqual(expect.arrayContaining(names(before.volumes)))
      const mounts = named(pod.containers, 'falco').volumeMounts
      expect(mounts).toEqual(expect.arrayContaining(named(before.containers, 'falco').volumeMounts))
      expect(named(mounts, 'falco-nats-pipe').mountPath).toBe('/var/run/falco')
    })

    it('gives Falco the settings of the values file', () => {
      const args: string[] = named(podOf(rendered).containers, 'falco').args
      const own: string[] = named(before.containers, 'falco').args
      expect(args.slice(0, own.length)).toEqual(own)
      const settings = args.slice(own.length).filter((arg) => arg !== '-o')
      const flat = Object.entries(VALUES.falco).flatMap(([key, value]) =>
        typeof value === 'object'
          ? Object.entries(value as object).map(([inner, set]) => `${key}.${inner}=${set}`)
          : [`${key}=${value}`],
      )
      expect(settings.toSorted()).toEqual(flat.toSorted())
    })

    it('runs the sidecar of the values file, with the options of a ConfigMap', () => {
      const { env, envFrom, volumeMounts, ...sidecar } = sidecarOf(rendered)
      const expected = VALUES.extra.initContainers[0]
      expect({ ...expected, ...sidecar }).toEqual(expected)
      expect(env).toEqual(expected.env.filter(({ name }: Manifest) => name !== 'FALCO_NATS_SERVER'))
      const config = ofKind(
        rendered.filter(({ metadata }) => metadata.name === envFrom[0].configMapRef.name),
        'ConfigMap',
      )
      expect(config).toMatchObject({
        metadata: { namespace: 'falco' },
        data: { FALCO_NATS_SERVER: 'tls://nats.example.com:4222' },
      })
      const credentials = named(volumeMounts, 'falco-nats-credentials')
      expect(credentials).toMatchObject({ mountPath: '/etc/falco-nats', readOnly: true })
      const secret = ofKind(
        rendered.filter(({ metadata }) => metadata.name.startsWith('falco-nats-')),
        'Secret',
      )
      expect(named(podOf(rendered).volumes, 'falco-nats-credentials').secret.secretName).toBe(
        secret.metadata.name,
      )
    })
  },
)

it('is the same sidecar and the same settings for falco-operator', () => {
  const { spec } = ofKind(OPERATOR, 'Falco').spec.podTemplateSpec
  expect(spec.initContainers).toEqual(VALUES.extra.initContainers)
  expect(spec.volumes).toEqual(VALUES.mounts.volumes)
  expect(spec.containers).toEqual([{ name: 'falco', volumeMounts: VALUES.mounts.volumeMounts }])
  expect(ofKind(OPERATOR, 'Config').spec.config).toEqual(VALUES.falco)
})

/** Ways to log in, of which a sidecar can have one. */
const LOGINS = [
  nats('nkey.secretName=s'),
  nats('user=falco', 'password.secretName=s'),
  nats('token.secretName=s'),
]

it('keeps the webserver on, with which Falco ignores SIGPIPE', () => {
  // The component and the operator have the same settings.
  expect(VALUES.falco.webserver).toEqual({ enabled: true })
})

const EXAMPLES = [join(DEPLOY, 'examples/falco-values.yaml')]
  .filter((path) => existsSync(path))
  .map((path): [string, string[]] => ['the example', ['-f', path]])

// Set where files hold secrets, and what makes no sense in a pod.
const NOT_IN_PODS = ['password', 'token', 'dryRun', 'check', 'adoptFile']

describe.skipIf(!anyHelm)('the program', () => {
  it('has no option that the chart cannot set', () => {
    const names = [EVERYTHING, ...LOGINS]
      .flatMap((args) => sidecarOf(byChart(...args)).env)
      .map(({ name }: Manifest) => name)
    const options = Object.keys(OPTIONS).filter((key) => !NOT_IN_PODS.includes(key))
    expect(new Set(names.filter((name) => name.startsWith('FALCO_NATS_')))).toEqual(
      new Set(options.map(envName)),
    )
  })

  it('says that all is well with the environment that the chart gives, and with that of its test', async () => {
    await using server = await startNats('jetstream: true')
    const manifests = byChart(
      ...nats(`server=${server.url}`, 'jetstream=true', 'createStream=true', 'headers=true'),
    )
    for (const container of [sidecarOf(manifests), ofKind(manifests, 'Pod').spec.containers[0]]) {
      const { code, stdout } = await checked(container)
      expect(stdout).toContain('none takes falco.notice.check yet; FALCO will be made')
      expect(stdout).toContain('takes 1 GiB')
      expect(stdout).not.toContain('FAIL')
      expect(code).toBe(0)
    }
  })

  it.each([
    ['every value', EVERYTHING],
    ...EXAMPLES,
    ...LOGINS.map((args): [string, string[]] => [args.slice(3).join(' '), args]),
  ])('understands the environment that the chart gives for %s', async (_values, args) => {
    const manifests = byChart(...args)
    const { code, stdout, stderr } = await checked(sidecarOf(manifests))
    expect(stderr).toBe('')
    expect(stdout).toContain('FAIL  server')
    expect(code).toBe(1)
  })
})

it('understands the values file', async () => {
  const { code, stderr } = await checked(VALUES.extra.initContainers[0])
  expect(stderr).toBe('')
  expect(code).toBe(1)
})

it.skipIf(!hasKubectl)('understands what the kustomize component gives', async () => {
  const rendered = kustomized(manifestsIn(fixturePath('deploy/plain.yaml')))
  const { code, stdout, stderr } = await checked(
    sidecarOf(rendered),
    ofKind(rendered, 'ConfigMap').data,
  )
  expect(stderr).toBe('')
  expect(stdout).toContain('FAIL  server: tls://nats.example.com:4222')
  expect(code).toBe(1)
})

/** Runs `--check` as the container would, with its directories elsewhere. */
async function checked(container: Manifest, more?: Manifest) {
  using root = tempDir()
  const env = environmentOf(container, more)
  for (const { name, mountPath, readOnly } of container.volumeMounts) {
    const there = root.file(name)
    if (!readOnly) mkdirSync(there)
    for (const [key, value] of Object.entries(env))
      if (value === mountPath || dirname(value) === mountPath)
        env[key] = value.replace(mountPath, there)
  }
  expect(Object.values(env).join()).not.toMatch(/\/(var|run|etc)\//)
  const args = container.args ?? ['--check']
  const { stdout, ...ran } = await runFalcoNats(args, { env })
  return { ...ran, stdout: stdout.toString() }
}

describe.skipIf(!hasKubernetes)('a real API server', () => {
  let kubernetes: Kubernetes
  beforeAll(async () => {
    kubernetes = await startKubernetes()
    for (const name of ['falco', 'monitoring']) kubernetes.namespace(name)
  })
  afterAll(() => kubernetes?.[Symbol.asyncDispose]())

  it('is strict: it refuses a field that it does not know', () => {
    const [{ spec, ...plain }] = manifestsIn(fixturePath('deploy/plain.yaml')) as [Manifest]
    spec.template.spec.containers[0].startupProb = {}
    expect(() => kubernetes.dryRun([{ ...plain, spec }])).toThrow('unknown field')
  })

  const renders: [what: string, args: string[]][] = [
    ['off', []],
    ['on', nats()],
    ['on with every value set', EVERYTHING],
    ...EXAMPLES,
    ...LOGINS.map((args): [string, string[]] => [args.slice(3).join(' '), args]),
  ]
  it.skipIf(!anyHelm).each(renders)('takes the chart, %s', (_what, args) => {
    takes(kubernetes, byChart(...args), 2)
  })

  it.skipIf(!anyHelm)('takes the official chart with the values file', () => {
    const values = join(DEPLOY, 'helm/values-falco-nats.yaml')
    takes(
      kubernetes,
      documents(template(anyHelm!.program, FALCO_CHARTS.at(-1)!.path, '-f', values)),
      2,
    )
  })

  it.each(UNKNOWN_FALCOS)('takes what the kustomize component makes of %s', (_what, make) => {
    takes(kubernetes, kustomized(make()), 3)
  })

  it('takes the pod that is for falco-operator', () => {
    takes(kubernetes, [operatorDaemonSet()], 1)
  })

  it.for(PLAIN)('takes deploy/%s', (path, { skip }) => {
    const manifests = manifestsIn(join(DEPLOY, path))
    for (const { metadata } of manifests) kubernetes.namespace(metadata.namespace ?? 'default')
    if (takes(kubernetes, manifests, 0) === 0) skip()
  })

  it.each(HELMS)('has $name install the chart, which says what to do next', ({ program }) => {
    const install = (...args: string[]) => installNotes(program, kubernetes, args)
    expect(install()).toContain('--set falco.natsOutput.enabled=true')
    const notes = install(...nats('server=nats://me:secret@nats:4222'))
    expect(notes).toContain('alerts go to nats://***@nats:4222 as falco.<priority>.<rule>')
    expect(notes).toContain('helm test falco -n falco')
    expect(notes).toContain(
      'logs -l app.kubernetes.io/name=falco,app.kubernetes.io/instance=falco -c falco-nats',
    )
    expect(notes).not.toContain('secret')
  })

  it.each(HELMS)(
    'goes with $name from the official chart to ours, and back',
    ({ name, program }) => {
      const falco = FALCO_CHARTS.at(-1)!
      const run = (verb: string, ...args: string[]) =>
        helm(program, verb, ...args, '--kubeconfig', kubernetes.kubeconfig, '-n', name)
      const manifests = () => documents(run('get', 'manifest', 'falco'))
      const server = () => environmentOf(sidecarOf(manifests())).FALCO_NATS_SERVER
      kubernetes.namespace(name)
      run('install', 'falco', falco.path)
      const stock = manifests()
      run('upgrade', 'falco', chart(), ...nats('server=nats://first:4222'))
      expect(server()).toBe('nats://first:4222')
      run('upgrade', 'falco', chart(), '--reuse-values', ...nats('server=nats://second:4222'))
      expect(server()).toBe('nats://second:4222')
      const inits: Manifest[] = podOf(manifests()).initContainers
      expect(inits.filter(({ name }) => name === 'falco-nats')).toHaveLength(1)
      run('rollback', 'falco', '2')
      expect(server()).toBe('nats://first:4222')
      const off = 'falco.natsOutput.enabled=false'
      run('upgrade', 'falco', chart(), '--reuse-values', '--set', off)
      expect(manifests()).toEqual(stock)
      run('uninstall', 'falco')
    },
  )
})
