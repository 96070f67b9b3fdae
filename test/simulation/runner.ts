// A worker thread that runs seeds and scenarios, and is replaced when one of them hangs or ends it.

import { Worker } from 'node:worker_threads'
import { type Coverage, noCoverage } from './coverage.ts'
import type { Result, Scenario, Violation } from './entry.ts'

/** A seed takes a few milliseconds. A machine that is busy with something else is no hang. */
const HANG_MS = 20_000
const HEAP_MB = 1024

export interface WorkerData {
  /** The module with `scenarioOf` and `simulate`. */
  readonly entry: string
  /** A source file that has another text in this thread. */
  readonly mutated: { readonly url: string; readonly text: string } | undefined
  /** How many seeds of the chunk have run. */
  readonly progress: Int32Array
}

export type Request =
  | { readonly from: number; readonly count: number }
  | { readonly scenario: Scenario; readonly trace: boolean }

export interface Found {
  readonly seed: number
  readonly violation: Violation
}

/** Seeds up to the first that violates something. */
export interface Chunk {
  readonly ran: number
  readonly coverage: Coverage
  readonly found?: Found
}

/** `isOver` is false when the thread can run nothing more. */
export type Reply = (Chunk | Result) & { readonly isOver: boolean }

export interface RunnerOptions {
  readonly entry?: URL
  readonly mutated?: WorkerData['mutated']
  readonly hangMs?: number
}

export type Runner = ReturnType<typeof createRunner>

export function createRunner({
  entry = new URL('entry.ts', import.meta.url),
  mutated,
  hangMs = HANG_MS,
}: RunnerOptions = {}) {
  const progress = new Int32Array(new SharedArrayBuffer(4))
  let started: Promise<Worker> | undefined

  /** Rejects when the simulator cannot be loaded. */
  async function start(): Promise<Worker> {
    const workerData: WorkerData = { entry: entry.href, mutated, progress }
    const worker = new Worker(new URL('seed-worker.ts', import.meta.url), {
      workerData,
      resourceLimits: { maxOldGenerationSizeMb: HEAP_MB },
      execArgv: [],
    })
    const { promise, resolve, reject } = Promise.withResolvers<void>()
    // It stays: an error while nothing is asked ends the thread, not this one.
    worker.on('error', reject).once('message', resolve)
    await promise
    return worker
  }

  async function end(): Promise<void> {
    const worker = await started?.catch(() => undefined)
    started = undefined
    await worker?.terminate()
  }

  /** Rejects with a violation when the thread hangs or ends. */
  async function ask<Answer>(request: Request): Promise<Answer> {
    started ??= start()
    const worker = await started
    const { promise, resolve, reject } = Promise.withResolvers<Reply>()
    const crash = (detail: string) => reject({ invariant: 'crash', detail, at: 0 })
    const onError = (error: Error) => crash(error.stack ?? String(error))
    const onExit = () => crash('the thread has ended')
    worker.once('message', resolve).once('error', onError).once('exit', onExit)
    progress[0] = 0
    let [seen, since] = [0, performance.now()]
    const watch = setInterval(() => {
      if (seen !== progress[0]) [seen, since] = [progress[0]!, performance.now()]
      const ms = performance.now() - since
      const detail = `no end after ${Math.round(ms)} ms`
      if (ms > hangMs) reject({ invariant: 'hang', detail, at: 0 } satisfies Violation)
    }, hangMs / 10)
    worker.postMessage(request)
    try {
      const reply = await promise
      if (!reply.isOver) await end()
      return reply as Answer
    } catch (error) {
      await end()
      throw error
    } finally {
      clearInterval(watch)
      worker.off('message', resolve).off('error', onError).off('exit', onExit)
    }
  }

  return {
    /** Runs `count` seeds, or fewer: up to the first that violates something. */
    seeds: (from: number, count: number): Promise<Chunk> =>
      ask<Chunk>({ from, count }).catch((reason) => {
        const violation = violationOf(reason)
        const ran = progress[0]! + 1
        return { ran, coverage: noCoverage(), found: { seed: from + ran - 1, violation } }
      }),
    play: (scenario: Scenario, trace = false): Promise<Result> =>
      ask<Result>({ scenario, trace }).catch((reason) => ({
        violation: violationOf(reason),
        trace: [],
        facts: {},
      })),
    [Symbol.asyncDispose]: end,
  }
}

function violationOf(reason: unknown): Violation {
  if (reason instanceof Error) throw reason
  return reason as Violation
}
