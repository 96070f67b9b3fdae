// The seed scenarios end to end: an alert into the forwarder, NATS, the responder with an example of
// deploy/examples/respond, and what changed in a real API server, or came to a real HTTP server.

import { createHmac } from 'node:crypto'
import { readFileSync, writeFileSync } from 'node:fs'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import { request } from 'node:https'
import { Objm } from '@nats-io/obj'
import { connect } from 'nats'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { falcoNats, type Running, runFalcoNats } from '../support/cli.ts'
import { listening, startHttpServer } from '../support/http-server.ts'
import {
  hasKubernetes,
  type Kubernetes,
  kubeconfigOf,
  startKubernetes,
} from '../support/kubernetes.ts'
import { createStream, type NatsServer, startNats, subscribe } from '../support/nats.ts'
import { CONTAINER_ID, nodeManifest, podManifest, shellAlert } from '../support/targets.ts'
import { tempDir } from '../support/temp.ts'
import { until } from '../support/wait.ts'

const PROGRAM = new URL('../../dist/falco-nats.js', import.meta.url).pathname
const EXAMPLES = new URL('../../deploy/examples/respond/', import.meta.url)
const example = (name: string) => readFileSync(new URL(name, EXAMPLES), 'utf8')
const status = {
  containerStatuses: [
    {
      name: 'main',
      containerID: `containerd://${CONTAINER_ID}`,
      image: 'busybox',
      imageID: '',
      ready: true,
      restartCount: 0,
    },
  ],
}
const fieldsOf = (pod: string) => ({
  'container.id': CONTAINER_ID.slice(0, 12),
  'k8s.ns.name': 'shop',
  'k8s.pod.name': pod,
  'user.name': 'eve',
})

/** An alert's whole way to NATS. */
async function raise(server: NatsServer, alert: object): Promise<void> {
  const { code } = await runFalcoNats(['-f', '-', '-s', server.url], {
    input: Buffer.from(`${JSON.stringify(alert)}\n`),
  })
  expect(code).toBe(0)
}

/** A responder at work on an example, with what is particular to a test put in. */
async function respond(
  server: NatsServer,
  text: string,
  { kubeconfig = '/nowhere', files = {} }: { kubeconfig?: string; files?: object } = {},
): Promise<Running & { path: string }> {
  const directory = tempDir()
  for (const [name, content] of Object.entries(files)) writeFileSync(directory.file(name), content)
  const path = directory.file('playbooks.yaml')
  writeFileSync(path, `dryRun: false\n${text.replaceAll('/etc/', `${directory.path}/`)}`)
  const running = falcoNats(['respond', '--config', path, '--server', server.url], {
    program: [process.execPath, PROGRAM],
    env: { KUBECONFIG: kubeconfig, HOME: directory.path },
  })
  await running.logged('waiting for alerts')
  const dispose = running[Symbol.asyncDispose].bind(running)
  return {
    ...running,
    path,
    async [Symbol.asyncDispose]() {
      await dispose()
      directory[Symbol.dispose]()
    },
  }
}

/** The outcomes so far, such as `shell-delete-pod.delete-pod.ok`. */
const outcomes = ({ messages }: { messages: readonly { subject: string }[] }) =>
  messages
    .map(({ subject }) => subject)
    .filter((subject) => subject.startsWith('falco.response.'))
    .map((subject) => subject.replace('falco.response.', ''))

async function startJetStream(): Promise<NatsServer> {
  const directory = tempDir()
  const server = await startNats(`jetstream: { store_dir: "${directory.path}" }`)
  await createStream(server.url)
  return {
    ...server,
    async [Symbol.asyncDispose]() {
      await server[Symbol.asyncDispose]()
      directory[Symbol.dispose]()
    },
  }
}

describe.skipIf(!hasKubernetes)('on a real API server', () => {
  let kubernetes: Kubernetes
  let server: NatsServer
  beforeAll(async () => {
    kubernetes = await startKubernetes()
    server = await startJetStream()
    kubernetes.namespace('shop')
    kubernetes.apply(nodeManifest('node-1'))
  })
  afterAll(async () => {
    await server?.[Symbol.asyncDispose]()
    await kubernetes?.[Symbol.asyncDispose]()
  })

  it('1: deletes the pod in which a shell was opened, and no other', async () => {
    kubernetes.apply(
      podManifest('shop', 'web', { status }),
      podManifest('shop', 'other', { status }),
    )
    await using seen = await subscribe(server.url)
    await using _responder = await respond(server, example('shell-delete-pod.yaml'), kubernetes)
    await raise(server, shellAlert(fieldsOf('web')))
    await until('it is done', () => outcomes(seen).includes('shell-delete-pod.delete-pod.ok'))
    // Without a kubelet nobody says that the containers have ended: it stays marked.
    const pod = kubernetes.get('pod', 'web', 'shop')
    expect(pod === undefined || pod.metadata.deletionTimestamp !== undefined).toBe(true)
    expect(kubernetes.get('pod', 'other', 'shop')!.metadata.deletionTimestamp).toBeUndefined()
  })

  it('3: taints the node from which a container talked to the API server', async () => {
    kubernetes.apply(podManifest('shop', 'talker', { status }))
    await using seen = await subscribe(server.url)
    const text = example('api-server-contact-taint.yaml')
    await using _responder = await respond(server, text, kubernetes)
    const rule = 'Contact K8S API Server From Container'
    await raise(server, shellAlert(fieldsOf('talker'), { rule }))
    await until('it is done', () =>
      outcomes(seen).includes('api-server-contact-taint.taint-node.ok'),
    )
    expect(kubernetes.get('node', 'node-1')!.spec.taints).toContainEqual(
      expect.objectContaining({ key: 'falco/alert', value: 'true', effect: 'NoSchedule' }),
    )
  })

  it('4: isolates the pod, keeps its logs, calls the on-call, in this order', async () => {
    kubernetes.apply(podManifest('shop', 'victim', { status }))
    await using seen = await subscribe(server.url)
    await using onCall = await startHttpServer()
    await using front = await startFront(kubernetes)
    await using _responder = await respond(
      server,
      example('critical-contain.yaml').replaceAll('/etc/on-call/', '/etc/'),
      {
        kubeconfig: front.kubeconfig,
        files: { url: `${onCall.url}/alerts`, secret: 'sesame-open' },
      },
    )
    await raise(server, shellAlert(fieldsOf('victim'), { priority: 'Critical' }))
    await until('the on-call was called', () => onCall.received.length > 0)
    await until('all is told', () => outcomes(seen).length >= 3)
    expect(outcomes(seen)).toEqual([
      'critical-contain.isolate-pod.ok',
      'critical-contain.capture-logs.ok',
      'critical-contain.webhook.ok',
    ])
    const { labels, annotations } = kubernetes.get('pod', 'victim', 'shop')!.metadata
    expect(labels).toEqual({ 'falco-nats.io/isolated': 'true' })
    expect(Date.parse(annotations['falco-nats.io/isolated-until'])).toBeGreaterThan(Date.now())
    const policy = kubernetes.get('networkpolicy', 'falco-nats-isolate', 'shop')!
    expect(policy.spec.podSelector.matchLabels).toEqual({ 'falco-nats.io/isolated': 'true' })
    const [{ headers, body }] = onCall.received as [(typeof onCall.received)[0]]
    const [, time, signature] = /^t=(\d+),v1=([0-9a-f]+)$/.exec(
      String(headers['x-falco-nats-signature']),
    )!
    const hmac = createHmac('sha256', 'sesame-open').update(`${time}.${body}`).digest('hex')
    expect(signature).toBe(hmac)
    const sent = JSON.parse(body)
    expect(sent).toMatchObject({ pod: 'shop/victim' })
    await using connection = await connect({ servers: server.url })
    const store = await new Objm(connection).open('falco-logs')
    const log = await store.getBlob(`${sent.id}/shop/victim/main.log`)
    expect(Buffer.from(log!).toString()).toBe('line by eve\n')
  })

  it('does nothing but say so in a dry run, by --test as by itself', async () => {
    kubernetes.apply(podManifest('shop', 'spared', { status }))
    using directory = tempDir()
    const alert = directory.file('alert.json')
    writeFileSync(alert, JSON.stringify(shellAlert(fieldsOf('spared'))))
    const path = new URL('shell-delete-pod.yaml', EXAMPLES).pathname
    const tried = await runFalcoNats(['respond', '--config', path, '--test', alert], {
      program: [process.execPath, PROGRAM],
      env: { KUBECONFIG: kubernetes.kubeconfig },
    })
    expect(tried.stderr).toBe('')
    expect(tried.stdout.toString()).toContain('would delete the pod shop/spared')
    await using seen = await subscribe(server.url)
    const responder = falcoNats(
      ['respond', '-p', 'delete-pod', '-s', 'falco.notice.>', '--server', server.url],
      { program: [process.execPath, PROGRAM], env: { KUBECONFIG: kubernetes.kubeconfig } },
    )
    await using _responder = responder
    await responder.logged('waiting for alerts')
    await raise(server, shellAlert(fieldsOf('spared')))
    await until('it is told', () => outcomes(seen).includes('delete-pod.delete-pod.dry_run'))
    expect(kubernetes.get('pod', 'spared', 'shop')!.metadata.deletionTimestamp).toBeUndefined()
  })
})

it('2: sends an error to Slack', async () => {
  await using server = await startJetStream()
  await using slack = await startHttpServer()
  const text = example('error-slack.yaml').replace('/etc/slack/url', '/etc/url')
  await using _responder = await respond(server, text, {
    files: { url: `${slack.url}/services/T/B/secret` },
  })
  await raise(server, shellAlert(fieldsOf('web'), { priority: 'Error', output: 'a <b> & c' }))
  await until('it has come', () => slack.received.length > 0)
  expect(slack.received[0]!.path).toBe('/services/T/B/secret')
  expect(JSON.parse(slack.received[0]!.body).text).toContain('a &lt;b&gt; &amp; c')
})

it('5: runs a module of one’s own', async () => {
  await using server = await startJetStream()
  await using people = await startHttpServer()
  const text = example('own-module.yaml').replace(/https:[^']*/, `${people.url}/shells`)
  await using seen = await subscribe(server.url)
  await using _responder = await respond(server, text, {
    files: { 'my-playbook.ts': example('my-playbook.ts') },
  })
  await raise(server, shellAlert(fieldsOf('web')))
  await until('it is done', () => outcomes(seen).includes('own-module.module.ok'))
  expect(JSON.parse(people.received[0]!.body)).toEqual({
    user: 'eve',
    rule: 'Terminal shell in container',
  })
})

/** The API server, but for the logs, which only a kubelet has. */
async function startFront(kubernetes: Kubernetes) {
  const server = /server: (https:.*)/.exec(readFileSync(kubernetes.kubeconfig, 'utf8'))![1]!
  const front = createServer((incoming: IncomingMessage, outgoing: ServerResponse) => {
    const { url = '', method, headers } = incoming
    if (url.includes('/log?')) {
      const isCurrent = url.includes('previous=false')
      outgoing.statusCode = isCurrent ? 200 : 400
      outgoing.end(isCurrent ? 'line by eve\n' : '{}')
      return
    }
    const asked = request(
      server + url,
      { method, headers, rejectUnauthorized: false },
      (answer) => {
        outgoing.writeHead(answer.statusCode!, answer.headers)
        answer.pipe(outgoing)
      },
    )
    incoming.pipe(asked)
  })
  const opened = await listening(front)
  const directory = tempDir()
  const kubeconfig = directory.file('kubeconfig')
  writeFileSync(kubeconfig, kubeconfigOf({ server: `http://${opened.host}`, token: 'token' }))
  return {
    kubeconfig,
    async [Symbol.asyncDispose]() {
      directory[Symbol.dispose]()
      await opened[Symbol.asyncDispose]()
    },
  }
}
