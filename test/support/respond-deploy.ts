// The responder as it is deployed: what its tests by the chart, by Kustomize and on an API server share.

import { cpSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { parse } from 'yaml'
import { readPlan } from '../../src/respond/playbook/plan.ts'
import type { Plan } from '../../src/respond/playbook/playbook.ts'
import { chart, everyValue } from './deploy.ts'
import { DEPLOY, documents, inYaml, kustomize, type Manifest, ofKind, template } from './helm.ts'
import { tempDir } from './temp.ts'

export const BASE = join(DEPLOY, 'kustomize/respond')
const EXAMPLES = join(DEPLOY, 'examples/respond')
/** Each value of respond. */
export const { args: EVERYTHING, values: EVERY_VALUE } = everyValue(
  'respond',
  'deploy/respond.yaml',
)
export const NAME = 'falco-nats-respond'

/** A file of playbooks, as the program would read it. */
export const playbooksIn = (path: string): Manifest => parse(readFileSync(path, 'utf8'))

export const PLAYBOOKS = readdirSync(EXAMPLES)
  .filter((file) => file.endsWith('.yaml'))
  .map((file): [string, Manifest] => [file, playbooksIn(join(EXAMPLES, file))])

/** Only the responder, with these values of `respond`. */
export function render(program: string, values: object, ...args: string[]): Manifest[] {
  using directory = tempDir()
  const file = directory.file('values.yaml')
  // JSON is YAML, in which a key `on` in quotes is a text.
  writeFileSync(
    file,
    JSON.stringify({ falco: { enabled: false }, respond: { enabled: true, ...values } }),
  )
  return documents(template(program, chart(), '-f', file, ...args))
}

export const playbook = (...steps: object[]) => ({ name: 'one', on: ['falco.>'], steps })
export const podOf = (manifests: readonly Manifest[]) =>
  ofKind(manifests, 'Deployment').spec.template
export const containerOf = (manifests: readonly Manifest[]) => podOf(manifests).spec.containers[0]
export const kindsOf = (manifests: readonly Manifest[]) => manifests.map(({ kind }) => kind).sort()
export const configOf = (manifests: readonly Manifest[]): Manifest =>
  parse(ofKind(manifests, 'ConfigMap').data['playbooks.yaml'])

export type Rule = readonly [group: string, resource: string, ...verbs: string[]]

export const EVENTS: Rule = ['', 'events', 'create']
export const NODE: Rule[] = [['', 'nodes', 'get', 'patch']]
export const JOBS: Rule = ['batch', 'jobs', 'create']
const LOGS: Rule = ['', 'pods/log', 'get']
export const POLICIES: Rule = ['networking.k8s.io', 'networkpolicies', 'create', 'get']

export const A_JOB = { job: { spec: { template: { spec: { containers: [{ name: 'a' }] } } } } }

/** Step → what it needs, and nothing else. */
export const RULES: [step: string, params: unknown, rules: Rule[]][] = [
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
export const asRules = (rules: readonly Rule[]) =>
  rules.map(([group, resource, ...verbs]) => ({
    apiGroups: [group],
    resources: [resource],
    verbs,
  }))

/** As the responder would read it. */
export const planOf = (manifests: readonly Manifest[]): Plan =>
  readPlan(ofKind(manifests, 'ConfigMap').data['playbooks.yaml'], '/etc/falco-nats/playbooks.yaml')

/** An overlay as the base's own comment has it. */
export function overlaid(): Manifest[] {
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
