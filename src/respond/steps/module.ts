// module: the user's own code, an ES module that exports `run(alert, context)`; TypeScript by Node.js itself.

import { pathToFileURL } from 'node:url'
import { z } from 'zod'
import { messageOf, printable } from '../../shared/errors.ts'
import type { Logger } from '../../shared/log.ts'
import { type Done, type Step, type StepContext, StepError } from './step.ts'

const params = z.strictObject({
  /** Absolute: plan.ts resolves it. */
  path: z.string().min(1).describe('the value of `module` itself'),
  with: z.json().optional().describe('beside `module`'),
})

type Params = z.infer<typeof params>

/** What a module is given beside the alert. */
export interface ModuleContext extends Pick<StepContext, 'id' | 'subject' | 'playbook' | 'dryRun'> {
  readonly with: unknown
  /** Aborts when the step's time is over. What goes on then goes on unseen. */
  readonly signal: AbortSignal
  readonly log: Logger
}

/** What a module exports. */
export interface Module {
  /**
   * Gives (also as a promise) a line that says what was done, `{ skipped: 'why' }`, or nothing. Throws where it
   * failed; for good where the error has `retryable: false`.
   */
  run(alert: StepContext['alert'], context: ModuleContext): unknown
  /** That it looks at `context.dryRun`. Others are not called in a dry run. */
  readonly supportsDryRun?: boolean
}

const DETAIL_MAX = 500

export const module: Step<Params> = {
  name: 'module',
  params,
  target: 'none',
  repeatable: false,
  rules: () => [],
  async run({ path, with: given }, { alert, id, subject, playbook, dryRun, signal, log }) {
    const { run, supportsDryRun } = await load(path)
    const shown = printable(path)
    if (dryRun && supportsDryRun !== true)
      return { outcome: 'dry_run', detail: `would run ${shown}` }
    const context = { id, subject, playbook, with: given, dryRun, signal, log }
    // Its own alert: what it does to it must not turn the steps that follow on something else.
    const result = await inTime(async () => run(structuredClone(alert), context), shown, signal)
    return doneOf(result, dryRun, shown)
  },
}

async function load(path: string): Promise<Module> {
  let loaded: Partial<Module>
  try {
    loaded = await import(pathToFileURL(path).href)
  } catch (error) {
    throw new StepError(`${printable(path)} cannot be loaded: ${messageOf(error)}`, {
      retryable: false,
    })
  }
  if (typeof loaded.run !== 'function')
    throw new StepError(`${printable(path)} exports no function run`, { retryable: false })
  return loaded as Module
}

/** Not all code listens to signals. */
async function inTime(run: () => Promise<unknown>, path: string, signal: AbortSignal) {
  const late = Promise.withResolvers<never>()
  const giveUp = () =>
    late.reject(new StepError(`${path} did not end in time`, { retryable: true }))
  if (signal.aborted) giveUp()
  signal.addEventListener('abort', giveUp, { once: true })
  try {
    return await Promise.race([late.promise, run()])
  } catch (error) {
    if (error instanceof StepError) throw error
    const retryable = (error as { retryable?: unknown } | null | undefined)?.retryable !== false
    throw new StepError(`${path}: ${messageOf(error)}`, { retryable, cause: error })
  } finally {
    signal.removeEventListener('abort', giveUp)
  }
}

function doneOf(result: unknown, dryRun: boolean, path: string): Done {
  const outcome = dryRun ? 'dry_run' : 'ok'
  if (typeof result === 'string') return { outcome, detail: line(result) || path }
  const skipped = (result as { skipped?: unknown } | null | undefined)?.skipped
  if (typeof skipped === 'string') return { outcome: 'skipped', detail: line(skipped) }
  return { outcome, detail: path }
}

const line = (text: string) => printable(text.replace(/\s+/g, ' ').trim()).slice(0, DETAIL_MAX)
