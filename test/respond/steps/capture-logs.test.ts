// capture-logs. A real API server has no logs without a kubelet: a little HTTP server that answers as the
// API server does, written down from its sources, stands in for it here. That the real one takes the
// request, and that its permission is enough, is in index.test.ts.

import { mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import type { ServerResponse } from 'node:http'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { captureLogs } from '../../../src/respond/steps/capture-logs.ts'
import type { Bucket } from '../../../src/respond/steps/step.ts'
import { startStandIn } from '../../support/api-server.ts'
import { contextOf, ID, run } from '../../support/step-context.ts'
import { tempDir } from '../../support/temp.ts'

const POD = {
  metadata: { name: 'web', namespace: 'shop', uid: 'uid-of-web' },
  spec: {
    nodeName: 'node-1',
    initContainers: [{ name: 'init' }],
    containers: [{ name: 'main' }, { name: 'side' }],
    ephemeralContainers: [{ name: 'debug' }],
  },
}
const TARGET = { namespace: 'shop', name: 'web', uid: 'uid-of-web', nodeName: 'node-1' }

type Answer = string | Buffer | number

/** Logs by `container` and `container.previous`; of others it says that there are none. */
async function podWithLogs(logs: Record<string, Answer>, pod: object = POD) {
  const asked: URLSearchParams[] = []
  const refuse = (response: ServerResponse, code: number, message: string) =>
    response.writeHead(code).end(JSON.stringify({ kind: 'Status', code, message }))
  const server = await startStandIn((request, response) => {
    const { pathname, searchParams } = new URL(request.url!, 'http://any')
    if (pathname === '/api/v1/namespaces/shop/pods/web') response.end(JSON.stringify(pod))
    else if (pathname === '/api/v1/namespaces/shop/pods/web/log') {
      asked.push(searchParams)
      const name = `${searchParams.get('container')}${searchParams.get('previous') === 'true' ? '.previous' : ''}`
      const log = logs[name]
      if (log === undefined)
        refuse(response, 400, `previous terminated container "${name}" in pod "web" not found`)
      else if (typeof log === 'number') refuse(response, log, `cannot have ${name}`)
      else response.writeHead(200, { 'content-type': 'text/plain' }).end(log)
    } else refuse(response, 404, 'not found')
  })
  const context = (more = {}) => contextOf(server.cluster, { pod: TARGET, ...more })
  return { asked, context, [Symbol.asyncDispose]: () => server[Symbol.asyncDispose]() }
}

const filesIn = (path: string) =>
  Object.fromEntries(
    readdirSync(path, { recursive: true, encoding: 'utf8' })
      .filter((name) => statSync(join(path, name)).isFile())
      .sort()
      .map((name) => [name, readFileSync(join(path, name))]),
  )

const BYTES = Buffer.from([0x61, 0xff, 0xfe, 0x0a, 0x1b])
const LOGS = { init: 'i', main: BYTES, 'main.previous': 'before\n', side: '', debug: 'd' }

describe('capture-logs', () => {
  it('keeps those of all containers, byte for byte, in a directory', async () => {
    await using pod = await podWithLogs(LOGS)
    using directory = tempDir()
    const params = { directory: directory.file('logs'), tailLines: 500 }
    expect(await run(captureLogs, params, pod.context())).toEqual({
      outcome: 'ok',
      detail: `kept 5 logs of shop/web (14 bytes) in ${params.directory}`,
    })
    const at = (name: string) => `${ID}/shop/web/${name}.log`
    expect(filesIn(params.directory)).toEqual({
      [at('debug')]: Buffer.from('d'),
      [at('init')]: Buffer.from('i'),
      [at('main')]: BYTES,
      [at('main.previous')]: Buffer.from('before\n'),
      [at('side')]: Buffer.from(''),
    })
    for (const name of Object.keys(filesIn(params.directory)))
      expect(statSync(join(params.directory, name)).mode & 0o777).toBe(0o600)
    expect(statSync(params.directory).mode & 0o777).toBe(0o700)
    expect(pod.asked).toHaveLength(8)
    for (const query of pod.asked) {
      expect(query.get('tailLines')).toBe('500')
      expect(query.get('limitBytes')).toBe('1048576')
    }
    // Once more is the same once more.
    expect(await run(captureLogs, params, pod.context())).toMatchObject({ outcome: 'ok' })
    expect(Object.keys(filesIn(params.directory))).toHaveLength(5)
  })

  it('keeps them in a bucket', async () => {
    await using pod = await podWithLogs(LOGS)
    const kept = new Map<string, string>()
    const bucket = async (name: string): Promise<Bucket> => ({
      put: async (key, bytes) => void kept.set(`${name}: ${key}`, bytes.toString('latin1')),
    })
    const done = await run(captureLogs, {}, pod.context({ bucket }))
    expect(done.detail).toBe('kept 5 logs of shop/web (14 bytes) in the bucket falco-logs')
    expect([...kept.keys()]).toContain(`falco-logs: ${ID}/shop/web/main.previous.log`)
    expect(kept.get(`falco-logs: ${ID}/shop/web/main.log`)).toBe(BYTES.toString('latin1'))
    await run(captureLogs, { bucket: 'logs' }, pod.context({ bucket }))
    expect([...kept.keys()]).toContain(`logs: ${ID}/shop/web/main.log`)
    expect(pod.asked[0]!.has('tailLines')).toBe(false)
  })

  it('keeps no more than it was told to, whatever the server sends', async () => {
    await using pod = await podWithLogs({ main: 'x'.repeat(300_000) })
    using directory = tempDir()
    const params = { directory: directory.path, limitBytes: 1000 }
    expect(await run(captureLogs, params, pod.context())).toMatchObject({ outcome: 'ok' })
    expect(filesIn(directory.path)[`${ID}/shop/web/main.log`]).toHaveLength(1000)
  })

  it('fetches nothing in a dry run', async () => {
    await using pod = await podWithLogs(LOGS)
    using directory = tempDir()
    const params = { directory: directory.path }
    expect(await run(captureLogs, params, pod.context({ dryRun: true }))).toEqual({
      outcome: 'dry_run',
      detail: `would keep the logs of init, main, side, debug of shop/web in ${directory.path}`,
    })
    expect(pod.asked).toEqual([])
    expect(filesIn(directory.path)).toEqual({})
  })

  it('keeps the others when one cannot be had, and says which', async () => {
    await using pod = await podWithLogs({ init: 'i', main: 500, side: 's' })
    using directory = tempDir()
    await expect(
      run(captureLogs, { directory: directory.path }, pod.context()),
    ).rejects.toMatchObject({ message: 'get pods/log: cannot have main', retryable: true })
    expect(Object.keys(filesIn(directory.path))).toEqual([
      `${ID}/shop/web/init.log`,
      `${ID}/shop/web/side.log`,
    ])
  })

  it('says that there are none, or that the pod is gone', async () => {
    using directory = tempDir()
    const params = { directory: directory.path }
    await using silent = await podWithLogs({})
    expect(await run(captureLogs, params, silent.context())).toEqual({
      outcome: 'skipped',
      detail: 'the pod shop/web has no logs',
    })
    const metadata = { ...POD.metadata, uid: 'of-another' }
    await using another = await podWithLogs(LOGS, { ...POD, metadata })
    expect(await run(captureLogs, params, another.context())).toEqual({
      outcome: 'skipped',
      detail: 'the pod shop/web is gone',
    })
    expect(another.asked).toEqual([])
  })

  it('says what is wrong with the directory', async () => {
    await using pod = await podWithLogs(LOGS)
    using directory = tempDir()
    mkdirSync(directory.file('logs'))
    writeFileSync(directory.file(`logs/${ID}`), 'in the way')
    await expect(
      run(captureLogs, { directory: directory.file('logs') }, pod.context()),
    ).rejects.toMatchObject({
      message: expect.stringMatching(/^cannot keep a log: E(EXIST|NOTDIR)/),
      retryable: true,
    })
  })

  it.each([
    { directory: '/logs', bucket: 'logs' },
    { directory: '' },
    { bucket: 'a/b' },
    { bucket: 'a', limitBytes: 0 },
    { bucket: 'a', limitBytes: 1e12 },
    { bucket: 'a', tailLines: 0 },
    { bucket: 'a', lines: 7 },
  ])('does not take %j', (params) =>
    expect(captureLogs.params.safeParse(params).success).toBe(false),
  )
})
