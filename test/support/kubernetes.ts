// A real API server, with nothing behind it but etcd: it says whether it would take a manifest.

import { spawn, spawnSync } from 'node:child_process'
import { generateKeyPairSync } from 'node:crypto'
import { once } from 'node:events'
import { existsSync, readdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { stringify } from 'yaml'
import { hasKubectl, kubectl, type Manifest } from './helm.ts'
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
}

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
    stringify({
      clusters: [
        {
          name: 'test',
          cluster: { server: `https://127.0.0.1:${port}`, 'insecure-skip-tls-verify': true },
        },
      ],
      users: [{ name: 'test', user: { token: 'token' } }],
      contexts: [{ name: 'test', context: { cluster: 'test', user: 'test' } }],
      'current-context': 'test',
    }),
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

  function ask(args: string[], input?: string): string {
    const ran = spawnSync(kubectl, ['--kubeconfig', directory.file('kubeconfig'), ...args], {
      encoding: 'utf8',
      input,
      env: { ...process.env, HOME: directory.path },
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
  await until('the API server is ready', () => answers('get', '--raw', '/readyz'), 60_000)
  const kinds = new Set<string>()
  for (const file of CRDS) ask(['apply', '--server-side', '-f', file])
  if (CRDS.length > 0) ask(['wait', '--for=condition=Established', 'crd', '--all', '--timeout=30s'])
  for (const line of ask(['api-resources', '--no-headers']).trim().split('\n')) {
    const [kind, , apiVersion] = line.trim().split(/\s+/).reverse()
    kinds.add(`${apiVersion} ${kind}`)
  }

  // JSON, since kubectl takes a bare `on` of YAML for true.
  const list = (items: readonly Manifest[]) =>
    JSON.stringify({ apiVersion: 'v1', kind: 'List', items })
  const started = stack.move()
  return {
    kubeconfig: directory.file('kubeconfig'),
    knows: ({ apiVersion, kind }) => kinds.has(`${apiVersion} ${kind}`),
    namespace: (name) =>
      void (answers('get', 'namespace', name) ?? ask(['create', 'namespace', name])),
    dryRun: (manifests) =>
      void ask(['create', '--dry-run=server', '--validate=strict', '-f', '-'], list(manifests)),
    [Symbol.asyncDispose]: () => started.disposeAsync(),
  }
}
