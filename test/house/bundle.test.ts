// The files that people run: on every supported Node, alone in a directory.

import { cpSync, existsSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { connect } from 'nats'
import { expect, it } from 'vitest'
import { falcoNats, runFalcoNats } from '../support/cli.ts'
import { fixture, numberedAlert } from '../support/fixtures.ts'
import { startHttpServer } from '../support/http-server.ts'
import { createStream, startNats, subscribe } from '../support/nats.ts'
import { tempDir } from '../support/temp.ts'

const DIST = new URL('../../dist/', import.meta.url).pathname
const BUNDLE = `${DIST}falco-nats.js`
const EXAMPLE = new URL('../../deploy/examples/respond/critical-contain.yaml', import.meta.url)
  .pathname
const NODES = {
  'this Node': process.execPath,
  'Node 22': process.env.NODE_22,
  'Node 24': process.env.NODE_24,
}

for (const [name, node] of Object.entries(NODES)) {
  if (node === undefined)
    console.warn(
      `skipped: the bundle on ${name}, since ${name.toUpperCase().replace(' ', '_')} names no binary`,
    )

  it.skipIf(node === undefined)(`forwards on ${name} with no node_modules`, async () => {
    using dir = tempDir()
    for (const file of ['falco-nats.js', 'main.js', 'package.json'])
      cpSync(DIST + file, dir.file(file))
    await using server = await startNats()
    await using subscriber = await subscribe(server.url)
    const { code, log } = await runFalcoNats(['-f', '-', '-s', server.url], {
      program: [node!, dir.file('falco-nats.js')],
      input: fixture('alerts.jsonl'),
    })
    expect(code).toBe(0)
    expect(log.at(-1)).toMatchObject({ delivered: 300 })
    await subscriber.count(300)
    // For the next start.
    expect(existsSync(dir.file('compiled'))).toBe(true)
  })

  it.skipIf(node === undefined)(`responds on ${name} with no node_modules`, async () => {
    using dir = tempDir()
    for (const file of ['falco-nats.js', 'respond.js', 'package.json'])
      cpSync(DIST + file, dir.file(file))
    const program = [node!, dir.file('falco-nats.js'), 'respond']
    const checked = await runFalcoNats(['--check', '--config', EXAMPLE], { program })
    expect([checked.code, checked.stderr]).toEqual([0, ''])
    expect(checked.stdout.toString()).toContain('ok    critical-contain: on falco.critical.>')

    await using hook = await startHttpServer()
    await using server = await startNats(`jetstream { store_dir: "${dir.file('js')}" }`)
    await createStream(server.url)
    writeFileSync(
      dir.file('p.yaml'),
      `dryRun: false
playbooks: [{ name: call, on: [falco.notice.>], steps: [{ webhook: { url: "${hook.url}/" } }] }]
`,
    )
    const args = ['--config', dir.file('p.yaml'), '--server', server.url]
    await using running = falcoNats(args, { program })
    await running.logged('waiting for alerts')
    await using connection = await connect({ servers: server.url })
    connection.publish('falco.notice.x', numberedAlert(0))
    await running.logged('a step is done')
    expect(hook.received.map(({ body }) => JSON.parse(body))).toEqual([
      JSON.parse(numberedAlert(0)),
    ])
    running.child.kill('SIGTERM')
    expect(await running.exited()).toBe(0)
  })

  it.skipIf(node === undefined)(`opens a spool on ${name} with no warning`, async () => {
    using dir = tempDir()
    const args = ['-f', '-', '-s', 'nats://127.0.0.1:1', '--spool-dir', dir.path]
    const program = [node!, BUNDLE]
    const checked = await runFalcoNats([...args, '--check'], { program })
    expect(checked.stdout.toString()).toMatch(/^ok {4}spool: /m)
    expect(checked.stderr).toBe('')
    const { code, log, stderr } = await runFalcoNats(args, { program })
    expect(code).toBe(0)
    expect(log.at(-1)).toMatchObject({ msg: 'done: all alerts were delivered' })
    expect(stderr).not.toMatch(/warn|experimental/i)
  })

  it.skipIf(node === undefined)(`logs for a person on ${name}`, async () => {
    const { code, stderr } = await runFalcoNats(
      ['-f', '-', '--dry-run', '--log-format', 'pretty'],
      {
        program: [node!, BUNDLE],
      },
    )
    expect(code).toBe(0)
    expect(stderr).toMatch(/INFO: done/)
  })
}

it('starts as a command by itself', async () => {
  const { code, stdout } = await runFalcoNats(['--version'], { program: [BUNDLE] })
  expect(code).toBe(0)
  expect(stdout.toString()).toMatch(/^\d/)
})

it('loads neither TLS nor cryptography where the server asks for none', async () => {
  using dir = tempDir()
  const spy = dir.file('spy.cjs')
  writeFileSync(
    spy,
    `process.on('exit', () => require('fs').writeFileSync('${dir.file('loaded')}', process.moduleLoadList.join('\\n')))`,
  )
  await using server = await startNats()
  const { log } = await runFalcoNats(['-f', '-', '-s', server.url], {
    program: [process.execPath, '--require', spy, BUNDLE],
    input: numberedAlert(0),
  })
  expect(log.at(-1)).toMatchObject({ delivered: 1 })
  const loaded = readFileSync(dir.file('loaded'), 'utf8').split('\n')
  expect(loaded).toContain('NativeModule net')
  expect(loaded).not.toContain('NativeModule tls')
  expect(loaded).not.toContain('NativeModule crypto')
  // Random bytes, as the client's names of inboxes have them, take 1.2 MB.
  expect(loaded).not.toContain('Internal Binding crypto')
})

/** What is in a bundle if the package is: each has been looked up in the responder's. */
const TELLING = {
  '@kubernetes/client-node': 'loadFromCluster',
  zod: 'ZodError',
  yaml: 'YAMLParseError',
}

it.each(Object.entries(TELLING))('leaves %s to the responder', (_, telling) => {
  const textOf = (name: string) => readFileSync(DIST + name, 'utf8')
  expect(textOf('respond.js')).toContain(telling)
  expect(textOf('main.js').includes(telling)).toBe(false)
})

it('does not let the forwarder grow by the responder', () => {
  // It had 804,000 bytes when this was written; a client of Kubernetes alone would double it.
  expect(statSync(`${DIST}main.js`).size).toBeLessThan(900_000)
})
