// A real API server, with nothing behind it but etcd: it says whether it would take a manifest.

import { spawn, spawnSync } from 'node:child_process'
import { generateKeyPairSync, randomUUID } from 'node:crypto'
import { once } from 'node:events'
import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { parse, stringify } from 'yaml'
import type { Manifest } from './helm.ts'
import { hasKubectl, kubectl } from './kubectl.ts'
import { freePort } from './nats.ts'
import { tempDir } from './temp.ts'
import { until } from './wait.ts'

const ETCD = process.env.ETCD ?? 'etcd'
const KUBE_APISERVER = process.env.KUBE_APISERVER ?? 'kube-apiserver'

/** Directories with CustomResourceDefinitions, as in PATH. */
const CRDS = (process.env.KUBE_CRDS ?? '')
  .split(':')
  .filter((directory) => directory && existsSync(directory))
  .flatMap((directory) => readdirSync(directory).map((file) => join(directory, file)))
  .filter((file) => /\.ya?ml$/.test(file))

const missing = [ETCD, KUBE_APISERVER].filter((name) => spawnSync(name, ['--version']).status !== 0)
export const hasKubernetes = hasKubectl && missing.length === 0
if (!hasKubernetes)
  console.info(`skipped: a real API server, since there is no ${missing.join(', ') || kubectl}`)

export interface Kubernetes extends AsyncDisposable {
  /** A file with which kubectl and helm find it. */
  readonly kubeconfig: string
  /** Whether it knows objects of this kind, such as `monitoring.coreos.com/v1 PodMonitor`. */
  knows(manifest: Manifest): boolean
  /** Makes it, if it is not there. */
  namespace(name: string): void
  /** Asks for what it would be, strictly. Throws an Error with the server's words. */
  dryRun(manifests: readonly Manifest[]): void
  /** Makes or changes them; then their status, which the API server takes only apart. Gives what they are now. */
  apply(...manifests: readonly Manifest[]): Manifest[]
  /** Undefined: there is none. */
  get(kind: string, name: string, namespace?: string): Manifest | undefined
  list(kind: string, namespace: string): Manifest[]
  /** At once, without a kubelet to agree. */
  remove(kind: string, name: string, namespace?: string): void
  /** A kubeconfig of somebody who may do just this, everywhere. */
  userWith(rules: readonly object[]): Promise<string>
}

export const kubeconfigOf = ({ server, token }: { server: string; token: string }): string =>
  stringify({
    clusters: [{ name: 'test', cluster: { server, 'insecure-skip-tls-verify': true } }],
    users: [{ name: 'test', user: { token } }],
    contexts: [{ name: 'test', context: { cluster: 'test', user: 'test' } }],
    'current-context': 'test',
  })

export async function startKubernetes(): Promise<Kubernetes> {
  await using stack = new AsyncDisposableStack()
  const directory = stack.use(tempDir())
  const [etcdPort, peerPort, port] = [await freePort(), await freePort(), await freePort()]
  const etcdUrl = `http://127.0.0.1:${etcdPort}`
  const peerUrl = `http://127.0.0.1:${peerPort}`

  const { publicKey, privateKey } = generateKeyPairSync('rsa', {
    modulusLength: 2048,
    publicKeyEncoding: { type: 'spki', format: 'pem' },
    privateKeyEncoding: { type: 'pkcs8', format: 'pem' },
  })
  writeFileSync(directory.file('accounts.pub'), publicKey)
  writeFileSync(directory.file('accounts.key'), privateKey)
  writeFileSync(directory.file('tokens.csv'), 'token,admin,admin,system:masters\n')
  writeFileSync(
    directory.file('kubeconfig'),
    kubeconfigOf({ server: `https://127.0.0.1:${port}`, token: 'token' }),
  )

  function start(program: string, ...args: string[]): void {
    const child = spawn(program, args, { cwd: directory.path, stdio: 'ignore' })
    stack.defer(async () => {
      if (child.exitCode !== null) return
      const gone = once(child, 'exit')
      child.kill('SIGKILL')
      await gone
    })
  }
  start(
    ETCD,
    '--data-dir=etcd',
    '--unsafe-no-fsync',
    `--listen-client-urls=${etcdUrl}`,
    `--advertise-client-urls=${etcdUrl}`,
    `--listen-peer-urls=${peerUrl}`,
    `--initial-advertise-peer-urls=${peerUrl}`,
    `--initial-cluster=default=${peerUrl}`,
  )
  start(
    KUBE_APISERVER,
    `--etcd-servers=${etcdUrl}`,
    '--bind-address=127.0.0.1',
    `--secure-port=${port}`,
    '--cert-dir=certificates',
    '--token-auth-file=tokens.csv',
    '--authorization-mode=RBAC',
    '--service-account-issuer=https://kubernetes.test',
    '--service-account-key-file=accounts.pub',
    '--service-account-signing-key-file=accounts.key',
    '--service-cluster-ip-range=10.0.0.0/24',
    '--allow-privileged', // as Falco is
    // It would wait for a controller that makes a token for each account.
    '--disable-admission-plugins=ServiceAccount',
  )

  const kubeconfig = directory.file('kubeconfig')
  const { ask, answers } = kubectlWith(kubeconfig)
  await until('the API server is ready', () => answers('get', '--raw', '/readyz'))
  for (const file of CRDS) ask(['apply', '--server-side', '-f', file])
  if (CRDS.length > 0) ask(['wait', '--for=condition=Established', 'crd', '--all', '--timeout=60s'])
  const started = stack.move()
  return { ...kubernetesAt(kubeconfig), [Symbol.asyncDispose]: () => started.disposeAsync() }
}

function kubectlWith(kubeconfig: string) {
  function ask(args: string[], input?: string): string {
    const ran = spawnSync(kubectl, ['--kubeconfig', kubeconfig, ...args], {
      encoding: 'utf8',
      input,
      env: { ...process.env, HOME: dirname(kubeconfig) },
    })
    if (ran.status !== 0) throw new Error(ran.stderr || String(ran.error))
    return ran.stdout
  }
  const answers = (...args: string[]) => {
    try {
      return ask(args)
    } catch {
      return undefined
    }
  }
  return { ask, answers }
}

/** One that runs already; the kubeconfig is its admin's. */
export function kubernetesAt(kubeconfig: string): Omit<Kubernetes, typeof Symbol.asyncDispose> {
  const { ask, answers } = kubectlWith(kubeconfig)
  const kinds = new Set<string>()
  for (const line of ask(['api-resources', '--no-headers']).trim().split('\n')) {
    const [kind, , apiVersion] = line.trim().split(/\s+/).reverse()
    kinds.add(`${apiVersion} ${kind}`)
  }

  // JSON, since kubectl takes a bare `on` of YAML for true.
  const list = (items: readonly Manifest[]) =>
    JSON.stringify({ apiVersion: 'v1', kind: 'List', items })
  const inNamespace = (namespace: string | undefined) => (namespace ? ['-n', namespace] : [])
  const json = (text: string): Manifest => JSON.parse(text)
  return {
    kubeconfig,
    knows: ({ apiVersion, kind }) => kinds.has(`${apiVersion} ${kind}`),
    namespace: (name) =>
      void (answers('get', 'namespace', name) ?? ask(['create', 'namespace', name])),
    dryRun: (manifests) =>
      void ask(['create', '--dry-run=server', '--validate=strict', '-f', '-'], list(manifests)),
    apply: (...manifests) =>
      manifests.map((manifest) => {
        const applied = ask(['apply', '-o', 'json', '-f', '-'], JSON.stringify(manifest))
        const { status, kind, metadata } = manifest
        if (!status) return json(applied)
        const patch = ['-p', JSON.stringify({ status }), '--subresource=status', '--type=merge']
        const where = inNamespace(metadata.namespace)
        return json(ask(['patch', kind, metadata.name, ...where, ...patch, '-o', 'json']))
      }),
    get: (kind, name, namespace) => {
      const found = ask([
        'get',
        kind,
        name,
        ...inNamespace(namespace),
        '--ignore-not-found',
        '-o',
        'json',
      ])
      return found ? json(found) : undefined
    },
    list: (kind, namespace) => json(ask(['get', kind, '-n', namespace, '-o', 'json'])).items,
    remove: (kind, name, namespace) =>
      void ask(['delete', kind, name, ...inNamespace(namespace), '--force', '--grace-period=0']),
    async userWith(rules) {
      const name = `user-${randomUUID()}`
      const metadata = { name }
      const account = { kind: 'ServiceAccount', name, namespace: 'default' }
      const apiVersion = 'rbac.authorization.k8s.io/v1'
      const roleRef = { apiGroup: 'rbac.authorization.k8s.io', kind: 'ClusterRole', name }
      const manifests = [
        {
          apiVersion: 'v1',
          kind: 'ServiceAccount',
          metadata: { name, namespace: 'default' },
        },
        { apiVersion, kind: 'ClusterRole', metadata, rules },
        { apiVersion, kind: 'ClusterRoleBinding', metadata, roleRef, subjects: [account] },
      ]
      ask(['create', '-f', '-'], list(manifests))
      const token = ask(['create', 'token', name, '-n', 'default']).trim()
      // The API server learns of roles a little after it has them.
      for (const { verbs, resources } of rules.slice(-1) as Manifest[]) {
        const [resource, sub] = resources.at(-1).split('/')
        const question = ['auth', 'can-i', verbs.at(-1), resource, '-A', `--token=${token}`]
        const all = sub ? [...question, `--subresource=${sub}`] : question
        await until(`${name} may do what it may`, () => answers(...all))
      }
      const path = join(dirname(kubeconfig), `${name}.kubeconfig`)
      const { server } = parse(readFileSync(kubeconfig, 'utf8')).clusters[0].cluster
      writeFileSync(path, kubeconfigOf({ server, token }))
      return path
    },
  }
}
