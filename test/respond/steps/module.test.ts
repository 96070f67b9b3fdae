import { execFile } from 'node:child_process'
import { writeFileSync } from 'node:fs'
import { promisify } from 'node:util'
import { build } from 'esbuild'
import { afterEach, beforeEach, expect, it } from 'vitest'
import { within } from '../../../src/respond/engine/run.ts'
import { module } from '../../../src/respond/steps/module.ts'
import { StepError } from '../../../src/respond/steps/step.ts'
import { stepContext } from '../../support/step-context.ts'
import { type TempDir, tempDir } from '../../support/temp.ts'

let dir: TempDir
beforeEach(() => {
  dir = tempDir()
})
afterEach(() => dir[Symbol.dispose]())

function moduleOf(code: string, name = 'mine.ts'): string {
  writeFileSync(dir.file(name), code)
  return dir.file(name)
}

const run = (path: string, context = stepContext(), given?: object) =>
  module.run(module.params.parse({ path, with: given }), context)

async function failure(path: string, context = stepContext()): Promise<StepError> {
  const error = await run(path, context).catch((error: unknown) => error)
  expect(error).toBeInstanceOf(StepError)
  return error as StepError
}

const REPEAT = `
  type Context = { with: unknown; id: string }
  export const supportsDryRun = true
  export async function run(alert: { rule: string }, context: Context): Promise<string> {
    const { log, signal, ...rest } = context as any
    log.info('hello')
    return JSON.stringify({ rule: alert.rule, aborted: signal.aborted, ...rest })
  }`

it('runs TypeScript with the alert and what it may know', async () => {
  const done = await run(moduleOf(REPEAT), stepContext(), { any: ['thing'] })
  expect(done.outcome).toBe('ok')
  expect(JSON.parse(done.detail)).toEqual({
    rule: 'Terminal shell in container',
    aborted: false,
    id: 'AAAAAAAAAAAAAAAAAAAAAA',
    subject: 'falco.critical.terminal_shell_in_container',
    playbook: 'on-call',
    with: { any: ['thing'] },
    dryRun: false,
  })
})

it.each([
  ['nothing', 'export const run = () => {}', 'ok', /mine\.mjs$/],
  ['a line', 'export const run = () => "paged\\n\\u202eBob"', 'ok', /^paged \\u\{202e\}Bob$/],
  ['a long line', 'export const run = () => "x".repeat(9999)', 'ok', /^x{500}$/],
  ['why not', 'export const run = async () => ({ skipped: "not ours" })', 'skipped', /^not ours$/],
])('takes %s for an answer', async (_, code, outcome, detail) => {
  const done = await run(moduleOf(code, 'mine.mjs'))
  expect(done).toEqual({ outcome, detail: expect.stringMatching(detail) })
})

it('calls in a dry run only what says that it knows of it', async () => {
  const dry = stepContext({ dryRun: true })
  const path = moduleOf('export const run = () => { throw new Error("called") }', 'other.ts')
  expect(await run(path, dry)).toEqual({ outcome: 'dry_run', detail: `would run ${path}` })
  const done = await run(moduleOf(REPEAT), dry)
  expect(done.outcome).toBe('dry_run')
  expect(JSON.parse(done.detail)).toMatchObject({ dryRun: true })
})

it.each([
  ['new Error("no\\nluck")', /mine\.ts: no\\u\{a\}luck$/, true],
  ['Object.assign(new Error("for good"), { retryable: false })', /mine\.ts: for good$/, false],
  // As it was called before.
  ['Object.assign(new Error("for good"), { mayPass: false })', /mine\.ts: for good$/, false],
  ['Object.assign(new Error("not yet"), { mayPass: true })', /mine\.ts: not yet$/, true],
  ['undefined', /mine\.ts: undefined$/, true],
])('fails as it throws %s', async (thrown, message, retryable) => {
  const error = await failure(moduleOf(`export function run() { throw ${thrown} }`))
  expect(error.message).toMatch(message)
  expect(error.retryable).toBe(retryable)
})

it.each([
  ['export const ran = 1', /exports no function run$/],
  ['export const run = 1', /exports no function run$/],
  ['throw new Error("at once")', /cannot be loaded: at once$/],
  ['export const run = (', /cannot be loaded: /],
])('refuses %s for good', async (code, message) => {
  const error = await failure(moduleOf(code))
  expect(error.message).toMatch(message)
  expect(error.message).toMatch(/^[ -~]+$/)
  expect(error.retryable).toBe(false)
})

it('says that it is not there', async () => {
  expect((await failure(dir.file('none.ts'))).message).toMatch(/none\.ts cannot be loaded: /)
})

it('leaves code that never ends when the time is over', async () => {
  const path = moduleOf('export const run = () => new Promise(() => {})')
  const { signal: never } = new AbortController()
  const ended = within(20, never, (signal) => run(path, stepContext({ signal })))
  await expect(ended).rejects.toMatchObject({
    message: 'took longer than its timeout of 0.02 s',
    retryable: true,
  })
})

it('cannot change the alert for the steps that follow', async () => {
  const context = stepContext()
  const before = structuredClone(context.alert)
  const code = 'export const run = (alert: any) => { alert.output_fields = {}; alert.rule = "x" }'
  await run(moduleOf(code), context)
  expect(context.alert).toEqual(before)
})

it('is loaded by the CommonJS bundle as well', async () => {
  const bundle = dir.file('bundle.cjs')
  await build({
    stdin: {
      contents: `
        import { module } from './src/respond/steps/module.ts'
        const context = { alert: { rule: 'r' }, signal: new AbortController().signal, log: { info() {} } }
        module.run({ path: process.argv[2] }, context).then((done) => console.log(JSON.stringify(done)))`,
      resolveDir: new URL('../../..', import.meta.url).pathname,
    },
    bundle: true,
    platform: 'node',
    target: 'node22',
    format: 'cjs',
    outfile: bundle,
    logLevel: 'silent',
  })
  const { stdout } = await promisify(execFile)(process.execPath, [bundle, moduleOf(REPEAT)])
  expect(JSON.parse(stdout).detail).toContain('"rule":"r"')
})
