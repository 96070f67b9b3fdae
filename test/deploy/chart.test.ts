// The chart, rendered by real helms over the official Falco chart or a stand-in for it.

import { createHash } from 'node:crypto'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { parse, parseDocument, stringify } from 'yaml'
import pkg from '../../package.json' with { type: 'json' }
import { CHART, everyValue, optionEnv, readText, withoutOptions } from '../support/deploy.ts'
import { fixturePath } from '../support/fixtures.ts'
import {
  assembled,
  DEPLOY,
  documents,
  FALCO_CHARTS,
  falcoYamlOf,
  HELMS,
  helm,
  inYaml,
  type Manifest,
  manifestsIn,
  named,
  nats,
  ofKind,
  podOf,
  RESTRICTED,
  set,
  sidecarOf,
  template,
} from '../support/helm.ts'

const { values: EVERY_VALUE, args: EVERYTHING } = everyValue('natsOutput', 'deploy/everything.yaml')

const BENCHES = HELMS.flatMap(({ name, program }) =>
  FALCO_CHARTS.map((falco) => ({
    bench: `${name} and ${falco.name}`,
    program,
    falco: falco.path,
    chart: assembled(falco),
  })),
)

describe.each(BENCHES)('the chart by $bench', ({ program, chart, falco }) => {
  const render = (...args: string[]) => template(program, chart, ...args)
  const manifests = (...args: string[]) => documents(render(...args))
  /** A render without the comments that name each file. */
  const bytes = (text: string) => text.replace(/^# Source: .*\n/gm, '')

  it.each([
    ['off', []],
    ['on', nats()],
    ['on, with every value set', EVERYTHING],
  ])('passes a strict lint when it is %s', (_state, args) => {
    const said = helm(program, 'lint', '--strict', chart, '--kube-version', '1.33.0', ...args)
    expect(said).toContain('1 chart(s) linted, 0 chart(s) failed')
  })

  it.each([
    ['as it comes', []],
    ['with falcosidekick', ['falcosidekick.enabled=true']],
    ['with file_output and queue', ['falco.file_output.enabled=true', 'falco.priority=notice']],
  ])('is the official chart to the byte when it is off, %s', (_values, values) => {
    const ours = render(...set(...values.map((value) => `falco.${value}`)))
    expect(bytes(ours)).toBe(bytes(template(program, falco, ...set(...values))))
  })

  it('adds to the official chart what is ours, and changes nothing else', () => {
    const [off, on] = [manifests(), manifests(...nats())]
    const pod = podOf(on)
    expect(falcoYamlOf(on)).toEqual({
      ...falcoYamlOf(off),
      json_output: true,
      file_output: { enabled: true, keep_alive: false, filename: '/var/run/falco/nats' },
      outputs_queue: { capacity: 16384 },
    })
    expect(pod.initContainers[0]).toMatchObject({ name: 'falco-nats', restartPolicy: 'Always' })
    expect(named(pod.containers, 'falco').volumeMounts.at(-1)).toEqual({
      name: 'falco-nats-pipe',
      mountPath: '/var/run/falco',
    })
    expect(pod.volumes.slice(-2)).toEqual([
      { name: 'falco-nats-pipe', emptyDir: { sizeLimit: '1Mi' } },
      { name: 'falco-nats-spool', emptyDir: { sizeLimit: '1280Mi' } },
    ])
    const checksum = (list: Manifest[]) =>
      ofKind(list, 'DaemonSet').spec.template.metadata.annotations['checksum/config']
    expect(checksum(on)).not.toBe(checksum(off))

    // Take ours away, and the official chart is left.
    pod.initContainers.shift()
    named(pod.containers, 'falco').volumeMounts.pop()
    pod.volumes.splice(-2)
    const rest = (list: Manifest[]) =>
      list
        .filter(({ kind, data }) => kind !== 'Pod' && !data?.['falco.yaml'])
        .map((manifest) => stringify(manifest).replace(/checksum.config: \w+/, ''))
    expect(rest(on)).toEqual(rest(off))
  })

  it('gives the sidecar few rights, bounds, and probes that never ask NATS', () => {
    const sidecar = sidecarOf(manifests(...nats()))
    expect(sidecar.securityContext).toEqual(RESTRICTED)
    expect(sidecar.startupProbe.httpGet).toEqual({ path: '/readyz', port: 'nats-metrics' })
    expect(sidecar.livenessProbe.httpGet).toEqual({ path: '/livez', port: 'nats-metrics' })
    expect(sidecar.readinessProbe).toBeUndefined()
    expect(sidecar.resources).toMatchObject({ limits: { memory: '256Mi' }, requests: {} })
    expect(sidecar.image).toBe(`ghcr.io/falco-nats/falco-nats:${pkg.version}`)
  })

  it('lays what users say over the rights of the sidecar', () => {
    const values = ['runAsUser=0', 'runAsNonRoot=false', 'readOnlyRootFilesystem=false']
    const args = nats(...values.map((value) => `securityContext.${value}`))
    expect(sidecarOf(manifests(...args)).securityContext).toMatchObject({
      runAsUser: 0,
      runAsNonRoot: false,
      readOnlyRootFilesystem: false,
      allowPrivilegeEscalation: false,
    })
  })

  it("keeps what users have: init containers, mounts, Falco's queue", () => {
    const rendered = manifests(
      ...nats(),
      ...set(
        'falco.extra.initContainers[0].name=mine',
        'falco.mounts.volumes[0].name=mine',
        'falco.mounts.volumeMounts[0].name=mine',
        'falco.falco.outputs_queue.capacity=7',
      ),
    )
    const pod = podOf(rendered)
    const names = pod.initContainers.map(({ name }: Manifest) => name)
    expect(names.slice(0, 2)).toEqual(['falco-nats', 'mine'])
    expect(named(pod.volumes, 'mine')).toBeDefined()
    expect(named(named(pod.containers, 'falco').volumeMounts, 'mine')).toBeDefined()
    expect(falcoYamlOf(rendered).outputs_queue).toEqual({ capacity: 7 })
  })

  it('runs the sidecar as root without capabilities where the spool is on the node', () => {
    const rendered = manifests(...nats('spool.hostPath=/var/lib/falco-nats'))
    expect(sidecarOf(rendered).securityContext).toMatchObject({
      runAsUser: 0,
      runAsNonRoot: false,
      capabilities: { drop: ['ALL'] },
    })
    expect(named(podOf(rendered).volumes, 'falco-nats-spool').hostPath.type).toBe(
      'DirectoryOrCreate',
    )
    // The test of the chart must not take the lock of a spool in use.
    const test = ofKind(rendered, 'Pod').spec
    expect(named(test.volumes, 'falco-nats-spool').emptyDir).toEqual({ sizeLimit: '1280Mi' })
    expect(test.containers[0].securityContext.runAsUser).toBe(65532)
  })

  it.each([
    ['4MiB', '5Mi'],
    ['256MiB', '320Mi'],
    ['4096k', '5Mi'],
    ['268435456', '320Mi'],
    ['5000000', '6Mi'],
    ['1024GiB', '1310720Mi'],
  ])('gives a spool of %s a volume of %s', (bytes, limit) => {
    const rendered = manifests(...nats(`spool.bytes=${bytes}`))
    expect(named(podOf(rendered).volumes, 'falco-nats-spool').emptyDir.sizeLimit).toBe(limit)
  })

  it('has no spool when it is switched off', () => {
    const rendered = manifests(...nats('spool.enabled=false'))
    expect(JSON.stringify(sidecarOf(rendered))).not.toMatch(/spool/i)
    expect(JSON.stringify(podOf(rendered).volumes)).not.toContain('spool')
  })

  it('takes the values of the 2018 chart', () => {
    const old = ['enabled=true', 'natsUrl=nats://nats.nats-io:4222']
    const rendered = manifests(
      ...set(...old.map((value) => `falco.integrations.natsOutput.${value}`)),
    )
    expect(rendered).toEqual(manifests(...nats('server=nats://nats.nats-io:4222')))
  })

  it('monitors when asked to, by the files that are kept elsewhere', () => {
    const rendered = manifests(...EVERYTHING)
    expect(ofKind(rendered, 'PrometheusRule').spec).toEqual(
      parse(readText(join(CHART, 'files/rules.yaml'))),
    )
    const { data, metadata } = rendered.find(({ data }) => data?.['falco-nats.json'])!
    expect(JSON.parse(data['falco-nats.json'])).toEqual(
      JSON.parse(readText(join(CHART, 'files/dashboard.json'))),
    )
    expect(metadata.labels.grafana_dashboard).toBe('yes')
    const [endpoint] = ofKind(rendered, 'PodMonitor').spec.podMetricsEndpoints
    const ports = sidecarOf(rendered).ports.map(({ name }: Manifest) => name)
    expect(ports).toEqual([endpoint.port])
  })

  it('gives the sidecar each option as it is written', () => {
    const rendered = manifests(...EVERYTHING)
    const given = expect.arrayContaining(optionEnv('natsOutput', EVERY_VALUE))
    expect(sidecarOf(rendered).env).toEqual(given)
    expect(ofKind(rendered, 'Pod').spec.containers[0].env).toEqual(given)
  })

  it('lets out of the pod what is needed, by policy', () => {
    const ports = (...values: string[]) => {
      const rendered = manifests(...nats('networkPolicy.enabled=true', ...values))
      const rules: Manifest[] = ofKind(rendered, 'NetworkPolicy').spec.egress
      return rules.flatMap((rule) => rule.ports.map(({ port }: Manifest) => port))
    }
    expect(ports()).toEqual([53, 53, 4222, 443, 6443])
    expect(ports('server=tls://a:7422/\\,nats://b:4222\\,c')).toEqual([
      53, 53, 7422, 4222, 443, 6443,
    ])
  })

  it.each([
    [nats('sever=x'), "'sever' not allowed"],
    [nats('spool.size=1'), "'size' not allowed"],
    [set('falcoo.x=1'), "'falcoo' not allowed"],
    [nats('minPriority=warn'), "one of '', 'emergency'"],
    [nats('bufferBytes=16 Mo'), "'16 Mo' does not match"],
    [nats('server=http://nats:4222'), 'does not match'],
    [nats('whenFull=wait'), "one of '', 'block', 'drop'"],
    [nats('metrics.port=0'), 'minimum'],
    [set('natsOutput.enabled=true'), 'write falco.natsOutput.'],
    [set('integrations.natsOutput.enabled=true'), 'write falco.integrations.'],
    [nats('creds.secretName=a', 'user=b'), 'creds and falco.natsOutput.user are given'],
    [nats('password.secretName=a'), 'password is given without falco.natsOutput.user'],
    [nats('stream=ALERTS'), 'stream is given without falco.natsOutput.jetstream'],
    [nats('jetstream=true', 'streamMaxAge=1d'), 'without falco.natsOutput.createStream'],
    [nats('tlsCA.secretName=a', 'tlsCA.configMapName=b'), 'one of secretName and configMapName'],
    [
      [...nats(), ...set('falco.falco.file_output.enabled=true')],
      'falco.falco.file_output writes to ./events.txt',
    ],
    ...['.enabled=false', '.enabled=null', '=null', '.enabled=0'].map((webserver) => [
      [...nats(), ...set(`falco.falco.webserver${webserver}`)],
      'falco.falco.webserver.enabled is not true: without its webserver Falco does not ignore SIGPIPE',
    ]),
  ])('answers %s', (args, message) => {
    expect(() => render(...args)).toThrow(message)
  })

  it('refuses a Kubernetes without native sidecars', () => {
    expect(() => render('--kube-version', '1.28.15')).toThrow('>=1.29.0-0')
  })
})

describe.each(HELMS)('by $name', ({ program }) => {
  const chart = assembled(FALCO_CHARTS[0]!)

  it.each([
    ['on', nats()],
    ['everything', EVERYTHING],
  ])('renders what a person can read in fixtures/deploy/%s.snapshot.yaml', async (name, args) => {
    const rendered = documents(template(program, chart, ...args))
    const shown = rendered.map(shortened)
    const text = inYaml(name === 'everything' ? withoutOptions('natsOutput', shown) : shown)
    await expect(text).toMatchFileSnapshot(fixturePath(`deploy/${name}.snapshot.yaml`))
  })

  it.each(FALCO_CHARTS)('gives the same as our values file does to $name', (falco) => {
    const values = join(DEPLOY, 'helm/values-falco-nats.yaml')
    const stock = documents(template(program, falco.path, '-f', values))
    const ours = documents(template(program, assembled(falco), ...nats()))
    expect(stock).toEqual(ours.filter(({ kind }) => kind !== 'Pod'))
  })
})

/** Rules and dashboard have files, and tests, of their own. */
function shortened(manifest: Manifest): Manifest {
  if (manifest.kind === 'PrometheusRule') return { ...manifest, spec: '(files/rules.yaml)' }
  if (manifest.data?.['falco-nats.json'])
    return { ...manifest, data: { 'falco-nats.json': '(files/dashboard.json)' } }
  return manifest
}

describe('the chart', () => {
  const values = parseDocument(readText(join(CHART, 'values.yaml')))
  const text = readText(join(CHART, 'values.yaml'))

  it('has the version of the program', () => {
    const chart = parse(readText(join(CHART, 'Chart.yaml')))
    expect(chart.appVersion).toBe(pkg.version)
    expect(values.getIn(['falco', 'natsOutput', 'image', 'tag'])).toBe(pkg.version)
    expect(chart.annotations['artifacthub.io/images']).toContain(`falco-nats:${pkg.version}\n`)
    const image = `falco-nats:${pkg.version}\n`
    for (const path of ['helm/values-falco-nats.yaml', 'kustomize/sidecar.yaml'])
      expect(readText(join(DEPLOY, path))).toContain(image)
  })

  it('describes every value', () => {
    const undescribed = text.split('\n').filter((line, index, lines) => {
      if (!/^ {4}\w+:/.test(line)) return false
      const before = lines[index - 1]!
      const after = lines[index + 1]!
      return !before.trim().startsWith('#') && !/^ {6}(# --|\w)/.test(after)
    })
    expect(undescribed).toEqual([])
  })
})

const [, official] = FALCO_CHARTS
it.skipIf(!official)('takes the place of the template that it was written for', () => {
  const [{ version }] = manifestsIn(join(official!.path, 'Chart.yaml')) as [Manifest]
  const pinned = parse(readText(join(CHART, 'Chart.yaml'))).dependencies[0].version
  expect(version).toBe(pinned)
  const helpers = readText(join(official!.path, 'templates/_helpers.tpl'))
  const original = /{{- define "falco.falcosidekickConfig" -}}[\s\S]*?\n{{- end -}}\n/.exec(
    helpers,
  )![0]
  // When it has changed: see what is new in it, take it into _falco.tpl, and put the new sum here.
  expect(createHash('sha256').update(original).digest('hex')).toBe(
    '1397b92bc064f4e727ecca829491905d71aac8ededc038ce8e6e1956925ce363',
  )
  expect(readText(join(official!.path, 'templates/configmap.yaml'))).toContain(
    'include "falco.falcosidekickConfig" .',
  )
})
