// What becomes of an API server that is dead, hangs, or refuses. Little HTTP servers stand in for it here,
// since a real one does none of this when it is told to; what it does refuse is in steps/index.test.ts.

import { writeFileSync } from 'node:fs'
import type { RequestListener, ServerResponse } from 'node:http'
import { inspect } from 'node:util'
import { afterEach, describe, expect, it } from 'vitest'
import { type Cluster, openCluster } from '../../../src/respond/kubernetes/cluster.ts'
import { ApiError } from '../../../src/respond/kubernetes/errors.ts'
import { messageOf } from '../../../src/shared/errors.ts'
import { clusterOf, startStandIn } from '../../support/api-server.ts'
import { freePort } from '../../support/nats.ts'
import { clusterAt } from '../../support/targets.ts'
import { tempDir } from '../../support/temp.ts'
import { soon, until } from '../../support/wait.ts'

const UID = 'uid-of-it'
const WEB = { namespace: 'shop', name: 'web', uid: UID, nodeName: 'node-1' }
const NODE = { name: 'node-1', uid: UID }
const LOG = { container: 'main', previous: false, tailLines: undefined, limitBytes: 100 }
async function all<T>(items: AsyncIterable<T>): Promise<T[]> {
  const found: T[] = []
  for await (const item of items) found.push(item)
  return found
}

const calls: [string, (cluster: Cluster, signal: AbortSignal) => Promise<unknown>][] = [
  ['get pods', (cluster, signal) => cluster.pod(WEB, signal)],
  ['delete pods', (cluster, signal) => cluster.deletePod(WEB, { gracePeriodSeconds: 1 }, signal)],
  ['patch pods', (cluster, signal) => cluster.patchPod(WEB, {}, signal)],
  ['list pods', (cluster, signal) => all(cluster.podsWithLabel('a=b', signal))],
  ['get pods/log', (cluster, signal) => cluster.log(WEB, LOG, signal)],
  ['get nodes', (cluster, signal) => cluster.node('node-1', signal)],
  ['patch nodes', (cluster, signal) => cluster.patchNode(NODE, {}, signal)],
  ['get networkpolicies', (cluster, signal) => cluster.networkPolicy('shop', 'p', signal)],
  ['create networkpolicies', (cluster, signal) => cluster.createNetworkPolicy('shop', {}, signal)],
  ['create jobs', (cluster, signal) => cluster.createJob('shop', {}, { dryRun: false }, signal)],
  ['create events', (cluster, signal) => cluster.createEvent('shop', {}, signal)],
]
const CODES: [number, boolean][] = [
  [401, true],
  [403, true],
  [408, true],
  [409, true],
  [410, false],
  [413, false],
  [422, false],
  [429, true],
  [500, true],
  [503, true],
  [504, true],
]

describe.each(calls)('%s', (what, act) => {
  it('says that a dead API server is', async () => {
    await expect(
      act(clusterOf(`http://127.0.0.1:${await freePort()}`), soon()),
    ).rejects.toMatchObject({
      message: expect.stringMatching(`^${what}: .*ECONNREFUSED`),
      retryable: true,
    })
  })

  it.each([
    ['before it answers', (_: ServerResponse) => {}],
    ['while it answers', (response: ServerResponse) => void response.write('{"metadata":')],
  ])('lets go of one that hangs %s', async (_, begin) => {
    let asked = 0
    let left = 0
    await using server = await startStandIn((request, response) => {
      asked++
      request.socket.on('close', () => left++)
      begin(response)
    })
    const stop = new AbortController()
    const outcome = act(server.cluster, stop.signal).catch((error) => error)
    await until('it is asked', () => asked)
    stop.abort()
    expect(await outcome).toBeInstanceOf(ApiError)
    expect(await outcome).toMatchObject({ message: `${what}: no answer in time`, retryable: true })
    await until('the connection is closed', () => left)
  })

  it('asks nothing when it is too late', async () => {
    await using server = await startStandIn((_, response) => response.end('{}'))
    const late = act(server.cluster, AbortSignal.abort())
    await expect(late).rejects.toThrow(`${what}: no answer in time`)
    expect(server.connections()).toBe(0)
  })

  it.each(CODES)('knows what %i means', async (code, retryable) => {
    await using server = await startStandIn((request, response) => {
      // It looks whether it is still the same.
      const isLook = request.method === 'GET' && !/^(get|list)/.test(what)
      if (isLook) return void response.end(JSON.stringify({ metadata: { uid: UID } }))
      response.writeHead(code, { 'content-type': 'application/json' })
      response.end(JSON.stringify({ kind: 'Status', code, message: `for ${code}\n\u001b[2J` }))
    })
    const error = await act(server.cluster, soon()).catch((error) => error)
    expect(error).toBeInstanceOf(ApiError)
    expect(error).toMatchObject({ message: `${what}: for ${code} \\u{1b}[2J`, retryable })
  })
})

describe('a cluster', () => {
  it('shows what stands before the API server in short', async () => {
    await using server = await startStandIn((_, response) => {
      response.writeHead(502, { 'content-type': 'text/html' })
      response.end(`<html>\n  <b>Bad gateway</b>${'.'.repeat(5000)}`)
    })
    const error = await server.cluster.node('node-1', soon()).catch((error) => error)
    expect(error.message).toMatch(/^get nodes: <html> <b>Bad gateway<\/b>\.+$/)
    expect(error.message.length).toBeLessThan(600)
  })

  it('shows the status where there is nothing else, and no nonsense as an object', async () => {
    await using server = await startStandIn((request, response) => {
      if (request.url?.endsWith('/silent')) response.writeHead(500).end()
      else response.end('<html>')
    })
    const ask = (name: string) => server.cluster.node(name, soon())
    await expect(ask('silent')).rejects.toThrow(/^get nodes: status 500$/)
    await expect(ask('html')).rejects.toMatchObject({
      message: 'get nodes: the answer is not JSON',
      retryable: true,
    })
  })

  it('sends its token, and keeps its connections', async () => {
    const tokens = new Set<unknown>()
    const listener: RequestListener = (request, response) => {
      tokens.add(request.headers.authorization)
      response.end('{}')
    }
    await using server = await startStandIn(listener, { secure: true })
    for (let index = 0; index < 20; index++) await server.cluster.node('node-1', soon())
    expect([...tokens]).toEqual(['Bearer token'])
    // Not one for each; the next request may come before the last one's is free.
    expect(server.connections()).toBeLessThanOrEqual(2)
  })

  it('asks for one page after the other', async () => {
    const asked: (string | null)[] = []
    await using server = await startStandIn((request, response) => {
      const { searchParams } = new URL(request.url!, 'http://any')
      expect(searchParams.get('labelSelector')).toBe('a=b')
      asked.push(searchParams.get('continue'))
      const page = asked.length
      const metadata = page < 3 ? { continue: `after ${page}` } : {}
      response.end(JSON.stringify({ metadata, items: [{ page }] }))
    })
    const pods = await all(server.cluster.podsWithLabel('a=b', soon()))
    expect(pods).toEqual([{ page: 1 }, { page: 2 }, { page: 3 }])
    expect(asked).toEqual([null, 'after 1', 'after 2'])
  })

  it('knows what is not there from what is', async () => {
    await using server = await startStandIn((_, response) => {
      response.writeHead(404).end(JSON.stringify({ message: 'not found' }))
    })
    const { cluster } = server
    expect(await cluster.pod(WEB, soon())).toBeUndefined()
    expect(await cluster.node('node-1', soon())).toBeUndefined()
    expect(await cluster.networkPolicy('shop', 'p', soon())).toBeUndefined()
    expect(await cluster.deletePod(WEB, { gracePeriodSeconds: 1 }, soon())).toBe(false)
    expect(await cluster.patchPod(WEB, {}, soon())).toBe(false)
    expect(await cluster.patchNode(NODE, {}, soon())).toBe(false)
    await expect(cluster.createEvent('shop', {}, soon())).rejects.toMatchObject({
      retryable: false,
    })
  })
})

describe('openCluster', () => {
  const before = { ...process.env }
  afterEach(() => {
    process.env = { ...before }
  })

  it('says that there is none', () => {
    using home = tempDir()
    delete process.env.KUBECONFIG
    process.env.HOME = home.path
    expect(openCluster).toThrow(/^there is no Kubernetes to act upon/)
  })

  it('says what is wrong with a kubeconfig', () => {
    using home = tempDir()
    expect(() => clusterAt(home.file('nowhere'))).toThrow(/^cannot read the kubeconfig: ENOENT/)
    writeFileSync(home.file('broken'), 'clusters: {')
    expect(() => clusterAt(home.file('broken'))).toThrow(/^cannot read the kubeconfig: [ -~]+$/)
    writeFileSync(home.file('secret'), 'users:\n- user:\n    token: s3cr3t\n   bad: [\n')
    let said: unknown
    try {
      clusterAt(home.file('secret'))
    } catch (error) {
      said = error
    }
    expect(messageOf(said)).toMatch(/^cannot read the kubeconfig: [ -~]+ in line 4$/)
    expect(inspect(said)).not.toContain('s3cr3t')
    writeFileSync(home.file('empty'), '')
    expect(() => clusterAt(home.file('empty'))).toThrow(ApiError)
    writeFileSync(home.file('nothing'), 'clusters: []\nusers: []\ncontexts: []\n')
    expect(() => clusterAt(home.file('nothing'))).toThrow(/^there is no Kubernetes to act upon/)
  })
})
