// Signals at odd moments: before the program is loaded, and while it waits for something slow.

import { execFileSync } from 'node:child_process'
import { existsSync, writeFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import { giveUpAfter } from '../../../src/shared/process/shutdown.ts'
import { falcoNats, preloaded } from '../../support/cli.ts'
import { type TempDir, tempDir } from '../../support/temp.ts'
import { until } from '../../support/wait.ts'

const path = (name: string) => new URL(name, import.meta.url).pathname
const BUNDLE = path('../../../dist/falco-nats.js')
const PLAYBOOKS = 'playbooks: [{ name: p, on: [falco.>], steps: [{ cordon-node: {} }] }]'

/** Each half, and how it says that it has ended in order. */
function halves(dir: TempDir) {
  writeFileSync(dir.file('p.yaml'), PLAYBOOKS)
  return {
    forward: {
      main: path('../../../src/forward/main.ts'),
      command: [BUNDLE],
      args: ['-f', dir.file('nats')],
      done: 'done: all alerts were delivered',
    },
    respond: {
      main: path('../../../src/respond/main.ts'),
      command: [BUNDLE, 'respond'],
      args: ['--config', dir.file('p.yaml')],
      done: 'done',
    },
  }
}

describe.each(['forward', 'respond'] as const)('%s', (half) => {
  it('hears a signal that comes while its code is loaded', async () => {
    using dir = tempDir()
    const { command, args, done } = halves(dir)[half]
    // The first that bin.cjs does is to ask for compiled code.
    const atStart = `import module from 'node:module'
      module.enableCompileCache = () => process.kill(process.pid, 'SIGTERM')
      module.syncBuiltinESMExports()`
    await using running = falcoNats(args, {
      program: preloaded(atStart, command),
      env: { NATS_URL: 'nats://127.0.0.1:1' },
    })
    expect(await running.exited()).toBe(0)
    expect(running.log().at(-1)).toMatchObject({ msg: done })
  })

  /** A name for which nobody answers: all threads that could look it up are kept. */
  const slowNames = (dir: TempDir) => {
    execFileSync('mkfifo', [dir.file('nobody')])
    return `import dns from 'node:dns'
      import fs from 'node:fs'
      const { lookup } = dns
      dns.lookup = (name, ...more) => {
        if (name.startsWith('slow')) {
          for (let n = 0; n < 4; n++) fs.open('${dir.file('nobody')}', 'r', () => {})
          fs.writeFileSync('${dir.file('asked')}', name)
        }
        return lookup(name, ...more)
      }`
  }

  it.each([
    ['the metrics address', { FALCO_NATS_METRICS_ADDRESS: 'slow.example:9376' }],
    ['the server', { NATS_URL: 'nats://slow.example:4222' }],
  ])('hears a signal while the name of %s is looked up', async (what, env) => {
    using dir = tempDir()
    const { main, args, done } = halves(dir)[half]
    const program = preloaded(slowNames(dir), [main])
    await using running = falcoNats(args, { program, env })
    await until(`${what} is looked up`, () => existsSync(dir.file('asked')))
    running.child.kill('SIGTERM')
    await until('it has ended', () => running.child.exitCode !== null)
    expect(running.child.exitCode).toBe(0)
    expect(running.log().at(-1)).toMatchObject({ msg: done })
  })
})

it('gives up after a stop that came before it was asked', async () => {
  const never = new AbortController().signal
  const givenUp = giveUpAfter(1, AbortSignal.abort(), never)
  await until('it is given up', () => givenUp.aborted)
  expect(giveUpAfter(1, never, never).aborted).toBe(false)
})
