// Commands that only print, and readers that go away.

import { execFileSync, spawnSync } from 'node:child_process'
import { closeSync, constants, openSync, writeFileSync } from 'node:fs'
import { constants as os } from 'node:os'
import { expect, it } from 'vitest'
import { falcoNats, MAIN, preloaded } from '../../support/cli.ts'
import { numberedAlert } from '../../support/fixtures.ts'
import { tempDir } from '../../support/temp.ts'
import { until } from '../../support/wait.ts'

const MAINS = {
  forward: MAIN,
  respond: new URL('../../../src/respond/main.ts', import.meta.url).pathname,
}
const PLAYBOOKS = 'playbooks: [{ name: p, on: [falco.>], steps: [{ cordon-node: {} }] }]'

/** Each with its exit code. */
const COMMANDS: readonly (readonly [
  half: keyof typeof MAINS,
  args: readonly string[],
  code: number,
])[] = [
  ['forward', ['--help'], 0],
  ['forward', ['--version'], 0],
  ['forward', ['--check', '-f', '-', '-s', 'nats://127.0.0.1:1'], 1],
  ['forward', ['sample', '--count', '0'], 0],
  ['respond', ['--help'], 0],
  ['respond', ['--check', '--config', 'p.yaml'], 0],
  ['respond', ['--rbac', '--config', 'p.yaml'], 0],
  ['respond', ['--test', 'a.json', '--config', 'p.yaml'], 0],
]

function run(
  half: keyof typeof MAINS,
  args: readonly string[],
  openStdout: (path: string) => number,
) {
  using dir = tempDir()
  writeFileSync(dir.file('p.yaml'), PLAYBOOKS)
  writeFileSync(dir.file('a.json'), numberedAlert(1))
  const stdout = openStdout(dir.file('output'))
  try {
    const { status, stderr } = spawnSync(process.execPath, [MAINS[half], ...args], {
      cwd: dir.path,
      env: { PATH: process.env.PATH },
      stdio: ['ignore', stdout, 'pipe'],
      encoding: 'utf8',
    })
    return { status, stderr }
  } finally {
    closeSync(stdout)
  }
}

it.each(COMMANDS)('ends without a word when nobody reads any more: %s %j', (half, args, code) => {
  const answer = run(half, args, (path) => {
    execFileSync('mkfifo', [path])
    const reader = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK)
    const writer = openSync(path, 'w')
    closeSync(reader)
    return writer
  })
  expect(answer).toEqual({ status: code, stderr: '' })
})

it.each(COMMANDS)('ends with 1 and a line when it cannot be written: %s %j', (half, args) => {
  expect(run(half, args, () => openSync('/dev/full', 'w'))).toEqual({
    status: 1,
    stderr: 'falco-nats: cannot write to standard output: ENOSPC: no space left on device, write\n',
  })
})

it('is ended by a signal as by default', async () => {
  await using running = falcoNats(['sample', '--count', '0', '--rate', '10'])
  await until('it prints', () => running.stdout().length > 0)
  running.child.kill('SIGTERM')
  await running.exited()
  expect(running.child.signalCode).toBe('SIGTERM')
})

/** As the first process of a container, for which the system has no default. */
const UNSHARE = ['unshare', '--user', '--map-root-user', '--pid', '--fork', '--kill-child']
const canUnshare = spawnSync(UNSHARE[0]!, [...UNSHARE.slice(1), 'true']).status === 0

it.skipIf(!canUnshare)('is ended by a signal as the first process of a container', async () => {
  const itself = `setTimeout(() => process.kill(process.pid, 'SIGTERM'), 500)`
  await using running = falcoNats(['sample', '--count', '0'], {
    program: [...UNSHARE, ...preloaded(itself)],
  })
  expect(await running.exited()).toBe(128 + os.signals.SIGTERM)
})
