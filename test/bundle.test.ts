// The two files that people run: on every supported Node, alone in a directory.

import { cpSync, existsSync } from 'node:fs'
import { expect, it } from 'vitest'
import { runFalcoNats } from './support/cli.ts'
import { fixture } from './support/fixtures.ts'
import { startNats, subscribe } from './support/nats.ts'
import { tempDir } from './support/temp.ts'

const DIST = new URL('../dist/', import.meta.url).pathname
const BUNDLE = `${DIST}falco-nats.js`
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
