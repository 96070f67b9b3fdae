// Charts, rendered by real helms.

import { execFileSync, spawnSync } from 'node:child_process'
import { cpSync, existsSync, mkdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll } from 'vitest'
import { parse, parseAllDocuments, stringify } from 'yaml'
import { fixturePath } from './fixtures.ts'
import { kubectl } from './kubectl.ts'
import { tempDir } from './temp.ts'

/** A Kubernetes object, or a part of one. */
// biome-ignore lint/suspicious/noExplicitAny: tests look deep into it, and a wrong look fails them
export type Manifest = Record<string, any>

export const DEPLOY = new URL('../../deploy/', import.meta.url).pathname
const CHART = join(DEPLOY, 'helm/falco-nats')

const runs = (program: string, ...args: string[]) => spawnSync(program, args).status === 0

/** The helms that are there, by name; says what is missing. */
export const HELMS = (['HELM3', 'HELM4'] as const).flatMap((name) => {
  const program = process.env[name] ?? name.toLowerCase()
  if (runs(program, 'version')) return [{ name: name.toLowerCase(), program }]
  console.info(`skipped: ${name} names no helm, and there is no ${name.toLowerCase()} on PATH`)
  return []
})

/** The security context of our containers, where nothing else is asked for. */
export const RESTRICTED = {
  allowPrivilegeEscalation: false,
  capabilities: { drop: ['ALL'] },
  privileged: false,
  readOnlyRootFilesystem: true,
  runAsGroup: 65532,
  runAsNonRoot: true,
  runAsUser: 65532,
  seccompProfile: { type: 'RuntimeDefault' },
}

/** Our own chart that stands in for the official one, and that itself, if FALCO_CHART says where it is. */
export const FALCO_CHARTS = [{ name: 'a stand-in', path: fixturePath('deploy/falco') }]
const official = process.env.FALCO_CHART
if (official && existsSync(join(official, 'Chart.yaml')))
  FALCO_CHARTS.push({ name: 'the official chart', path: official })
else console.info('FALCO_CHART names no unpacked falco chart: a stand-in has to do')

/** For the files of one run. */
export const home = tempDir()
// The runner ends its workers without an `exit`.
afterAll(() => home[Symbol.dispose]())

/** Our chart with its dependency in place, as `helm dependency update` leaves it. */
export function assembled(falcoChart: { name: string; path: string }): string {
  const chart = home.file(`${falcoChart.name}/falco-nats`)
  if (!existsSync(chart)) {
    mkdirSync(chart, { recursive: true })
    // But not what `helm dependency update` may have brought.
    cpSync(CHART, chart, {
      recursive: true,
      filter: (path) => !/\/(charts|Chart\.lock)$/.test(path),
    })
    cpSync(falcoChart.path, join(chart, 'charts/falco'), { recursive: true })
  }
  return chart
}

/** Runs helm; throws an Error with what it says. */
export function helm(program: string, ...args: string[]): string {
  const env = { ...process.env, HELM_CACHE_HOME: home.path, HELM_CONFIG_HOME: home.path }
  const ran = spawnSync(program, args, {
    encoding: 'utf8',
    env: { ...env, KUBECONFIG: '/dev/null' },
  })
  if (ran.status !== 0) throw new Error(ran.stderr || ran.stdout || String(ran.error))
  return ran.stdout
}

/** `helm template falco`, for a Kubernetes that is new enough. */
export const template = (program: string, chart: string, ...args: string[]): string =>
  helm(program, 'template', 'falco', chart, '-n', 'falco', '--kube-version', '1.33.0', ...args)

export const set = (...values: string[]): string[] => values.flatMap((value) => ['--set', value])
/** Values of falco.natsOutput, which is switched on. */
export const nats = (...values: string[]): string[] =>
  set(...['enabled=true', ...values].map((value) => `falco.natsOutput.${value}`))

/** What Kubernetes and Helm read and write: in it, `on` is true and 0444 is octal. */
const YAML = { version: '1.1' } as const

export const documents = (text: string): Manifest[] =>
  parseAllDocuments(text, YAML)
    .map((document) => document.toJS())
    .filter((manifest) => manifest !== null)

export const inYaml = (manifests: readonly object[]): string =>
  manifests.map((manifest) => stringify(manifest, YAML)).join('---\n')

export const manifestsIn = (path: string): Manifest[] => documents(readFileSync(path, 'utf8'))

export const ofKind = (manifests: readonly Manifest[], kind: string): Manifest => {
  const found = manifests.find((manifest) => manifest.kind === kind)
  if (!found) throw new Error(`there is no ${kind}`)
  return found
}

export const podOf = (manifests: readonly Manifest[]): Manifest =>
  ofKind(manifests, 'DaemonSet').spec.template.spec

export const named = (list: readonly Manifest[], name: string): Manifest => {
  const found = list.find((item) => item.name === name)
  if (!found) throw new Error(`there is no ${name}`)
  return found
}

export const sidecarOf = (manifests: readonly Manifest[]): Manifest =>
  named(podOf(manifests).initContainers, 'falco-nats')

/** Falco's configuration, as Falco would read it. */
export const falcoYamlOf = (manifests: readonly Manifest[]): Manifest =>
  parse(manifests.find((manifest) => manifest.data?.['falco.yaml'])!.data['falco.yaml'], YAML)

/** The environment that Kubernetes would give a container on a node. */
export function environmentOf(container: Manifest, more: Manifest = {}): Record<string, string> {
  const env: Record<string, string> = { ...more }
  for (const { name, value } of container.env)
    env[name] =
      value?.replace(/\$\((\w+)\)/g, (all: string, used: string) => env[used] ?? all) ?? 'node-7'
  return env
}

export const kustomize = (directory: string): Manifest[] =>
  documents(execFileSync(kubectl, ['kustomize', directory], { encoding: 'utf8' }))
