// Commands that print, to readers that go away; jobs; and how both end.

import { execFileSync, spawnSync } from 'node:child_process'
import { closeSync, constants, openSync, writeFileSync } from 'node:fs'
import { constants as os } from 'node:os'
import { describe, expect, it } from 'vitest'
import { falcoNats, MAIN, preloaded } from '../../support/cli.ts'
import { numberedAlert } from '../../support/fixtures.ts'
import { tempDir } from '../../support/temp.ts'
import { until } from '../../support/wait.ts'

const SRC = new URL('../../../src/shared/', import.meta.url).href
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

function runCode(code: string) {
  const program = `
    import { UsageError } from '${SRC}errors.ts'
    import { runCommand, runJob } from '${SRC}process/command.ts'
    const options = { logLevel: 'info', logFormat: 'json' }
    ${code}`
  const node = ['--input-type=module', '-e', program]
  const { status, stderr } = spawnSync(process.execPath, node, { encoding: 'utf8' })
  return { status, stderr }
}

it('ends with the exit code of the command, whatever else is open', () => {
  const code = 'setInterval(() => {}, 1000); runCommand(async () => 3)'
  expect(runCode(code)).toEqual({ status: 3, stderr: '' })
})

it.each([
  ["throw new UsageError('--x')", 2, /^falco-nats: --x\n$/],
  ["throw new TypeError('oh')", 70, /^falco-nats: this is a bug: oh\n/],
])('ends as the error has it: %s', (what, status, stderr) => {
  const ended = runCode(`runCommand(async () => { ${what} })`)
  expect(ended).toEqual({ status, stderr: expect.stringMatching(stderr) })
})

it('gives a job its log and the signals', () => {
  const job = `async () => (log, stop, abandon) => new Promise((resolve) => {
    log.info('begun')
    stop.addEventListener('abort', () => process.kill(process.pid, 'SIGTERM'))
    abandon.addEventListener('abort', () => resolve(5))
    setInterval(() => {}, 1000)
    process.kill(process.pid, 'SIGTERM')
  })`
  const { status, stderr } = runCode(`runCommand(() => runJob(options, ${job}))`)
  expect(JSON.parse(stderr)).toMatchObject({ level: 'info', msg: 'begun' })
  expect(status).toBe(5)
})

it('logs a bug of a job', () => {
  const job = "async () => async () => { throw new TypeError('oh') }"
  const { status, stderr } = runCode(`runCommand(() => runJob(options, ${job}))`)
  expect(JSON.parse(stderr)).toMatchObject({ level: 'fatal', msg: 'this is a bug: oh' })
  expect(status).toBe(70)
})

describe('warnings of Node', () => {
  const warn = `process.emitWarning('SQLite is an experimental feature', 'ExperimentalWarning')
    process.emitWarning('beware')
    await new Promise(setImmediate)
    return 0`

  it('are printed, but for that of SQLite', () => {
    const { status, stderr } = runCode(`runCommand(async () => { ${warn} })`)
    expect(status).toBe(0)
    expect(stderr).toMatch(/^\(node:\d+\) Warning: beware\n.*\n$/)
  })

  it('are logged by a job, but for that of SQLite', () => {
    const { stderr } = runCode(
      `runCommand(() => runJob(options, async () => async () => { ${warn} }))`,
    )
    expect(JSON.parse(stderr)).toMatchObject({ msg: 'Node.js warns: Warning', reason: 'beware' })
  })
})
