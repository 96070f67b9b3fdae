// How a process ends that runs a command, or a job.

import { spawnSync } from 'node:child_process'
import { expect, it } from 'vitest'

const SRC = new URL('../../../src/shared/', import.meta.url).href

function run(code: string) {
  const program = `
    import { UsageError } from '${SRC}errors.ts'
    import { runCommand, runJob } from '${SRC}process/job.ts'
    const options = { logLevel: 'info', logFormat: 'json' }
    ${code}`
  const node = ['--input-type=module', '-e', program]
  const { status, stderr } = spawnSync(process.execPath, node, { encoding: 'utf8' })
  return { status, stderr }
}

it('ends with the exit code of the command, whatever else is open', () => {
  const code = 'setInterval(() => {}, 1000); runCommand(async () => 3)'
  expect(run(code)).toEqual({ status: 3, stderr: '' })
})

it.each([
  ["throw new UsageError('--x')", 2, /^falco-nats: --x\n$/],
  ["throw new TypeError('oh')", 70, /^falco-nats: this is a bug: oh\n/],
])('ends as the error has it: %s', (what, status, stderr) => {
  const ended = run(`runCommand(async () => { ${what} })`)
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
  const { status, stderr } = run(`runCommand(() => runJob(options, ${job}))`)
  expect(JSON.parse(stderr)).toMatchObject({ level: 'info', msg: 'begun' })
  expect(status).toBe(5)
})

it('logs a bug of a job', () => {
  const job = "async () => async () => { throw new TypeError('oh') }"
  const { status, stderr } = run(`runCommand(() => runJob(options, ${job}))`)
  expect(JSON.parse(stderr)).toMatchObject({ level: 'fatal', msg: 'this is a bug: oh' })
  expect(status).toBe(70)
})
