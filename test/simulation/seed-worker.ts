// The thread that runs seeds: a chunk of them, or one scenario, for each message from runner.ts.

import { registerHooks } from 'node:module'
import { setImmediate as turn } from 'node:timers/promises'
import { parentPort, workerData } from 'node:worker_threads'
import { cover, noCoverage } from './coverage.ts'
import type { Result, Scenario, Violation } from './entry.ts'
import type { Reply, Request, WorkerData } from './runner.ts'

/** A run has no timer and no I/O of the system: when the event loop has turned so often, it waits for nothing. */
const TURNS_MAX = 100

const { entry, mutated, progress } = workerData as WorkerData
if (mutated)
  registerHooks({
    load: (url, context, next) =>
      url === mutated.url
        ? { format: 'module-typescript', source: mutated.text, shortCircuit: true }
        : next(url, context),
  })
const { FAULTS, scenarioOf, simulate }: typeof import('./entry.ts') = await import(entry)

/** What was thrown where the run does not see it. */
let strays: unknown[] = []
const addStray = (error: unknown) => void strays.push(error)
process.on('unhandledRejection', addStray).on('uncaughtException', addStray)

/** Never rejects. `isOver`: nothing of the run can happen any more. */
async function run(scenario: Scenario, trace: boolean): Promise<Result & { isOver: boolean }> {
  strays = []
  // Runs are full of errors that are caught: refusals, aborts, a disk that fails.
  Error.stackTraceLimit = trace ? 10 : 0
  // From a message, a tick would come before the microtasks of the first step, and not behind them as in every other.
  await undefined
  let result: Result | undefined
  const running = (async () => {
    result = await simulate(scenario, { trace })
  })().catch(addStray)
  let isOver = false
  void running.then(() => {
    isOver = true
  })
  // A turn also reports the rejections that are unhandled once nothing is left to run.
  for (let turns = 0; turns === 0 || (!isOver && turns < TURNS_MAX); turns++) await turn()
  const { trace: traced = [], facts = {} } = result ?? {}
  const violation =
    strays.length > 0
      ? crash(strays[0])
      : isOver
        ? result!.violation
        : { invariant: 'hang', detail: 'the run waits, and nothing is left to happen', at: 0 }
  return { violation, trace: traced, facts, isOver }
}

const crash = (error: unknown): Violation => ({
  invariant: 'crash',
  detail: (error instanceof Error && error.stack) || String(error),
  at: 0,
})

/** Runs seeds up to the first that violates something. */
async function runSeeds(from: number, count: number): Promise<Reply> {
  const coverage = noCoverage(Object.keys(FAULTS))
  for (let seed = from; seed < from + count; seed++) {
    progress[0] = seed - from
    const scenario = scenarioOf(seed)
    const result = await run(scenario, false)
    cover(coverage, scenario, result)
    const { violation, isOver } = result
    const ran = seed - from + 1
    if (violation) return { ran, coverage, found: { seed, violation }, isOver }
  }
  return { ran: count, coverage, isOver: true }
}

parentPort!.on('message', async (request: Request) => {
  parentPort!.postMessage(
    'scenario' in request
      ? await run(request.scenario, request.trace)
      : await runSeeds(request.from, request.count),
  )
})
parentPort!.postMessage('ready')
