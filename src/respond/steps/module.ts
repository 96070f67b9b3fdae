// module: the user's own code, an ES module that exports `run(alert, context)`; TypeScript by Node.js itself.

import { pathToFileURL } from 'node:url'
import { z } from 'zod'
import { messageOf, printable } from '../../shared/errors.ts'
import { type Done, defineStep, isRetryable, type StepContext, StepError } from './step.ts'

/** What a module is given beside the alert. */
export interface ModuleContext
  extends Pick<StepContext, 'id' | 'subject' | 'playbook' | 'dryRun' | 'log'> {
  readonly with: unknown
  /** Aborts when the step's time is over: the playbook goes on, and what still runs here runs unseen. */
  readonly signal: AbortSignal
}

/** What a module exports. */
export interface Module {
  /** A line with what was done, `{ skipped: 'why' }`, or nothing. Errors are tried again but for `retryable: false`. */
  run(alert: StepContext['alert'], context: ModuleContext): unknown
  /** That it looks at `context.dryRun`. Others are not called in a dry run. */
  readonly supportsDryRun?: boolean
}

const DETAIL_MAX = 500

export const module = defineStep({
  name: 'module',
  params: z.strictObject({
    /** Absolute: plan.ts resolves it. */
    path: z.string().min(1).describe('the value of `module` itself'),
    with: z.json().optional().describe('beside `module`'),
  }),
  async run({ path, with: given }, { alert, id, subject, playbook, dryRun, signal, log }) {
    const { run, supportsDryRun } = await load(path)
    const shown = printable(path)
    if (dryRun && supportsDryRun !== true)
      return { outcome: 'dry_run', detail: `would run ${shown}` }
    const context = { id, subject, playbook, with: given, dryRun, signal, log }
    try {
      // Its own alert: what it does to it must not turn the steps that follow on something else.
      return doneOf(await run(structuredClone(alert), context), dryRun, shown)
    } catch (error) {
      const retryable = isRetryable(error)
      throw new StepError(`${shown}: ${messageOf(error)}`, { retryable, cause: error })
    }
  },
})

async function load(path: string): Promise<Module> {
  const refusal = (why: string) => new StepError(`${printable(path)} ${why}`, { retryable: false })
  const loaded = await import(pathToFileURL(path).href).catch((error) => {
    throw refusal(`cannot be loaded: ${messageOf(error)}`)
  })
  if (typeof loaded.run !== 'function') throw refusal('exports no function run')
  return loaded
}

function doneOf(result: unknown, dryRun: boolean, path: string): Done {
  const outcome = dryRun ? 'dry_run' : 'ok'
  if (typeof result === 'string') return { outcome, detail: line(result) || path }
  const skipped = (result as { skipped?: unknown } | null | undefined)?.skipped
  if (typeof skipped === 'string') return { outcome: 'skipped', detail: line(skipped) }
  return { outcome, detail: path }
}

const line = (text: string) => printable(text.replace(/\s+/g, ' ').trim()).slice(0, DETAIL_MAX)
