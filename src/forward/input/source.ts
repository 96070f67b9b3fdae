// Where Falco's lines come from: a named pipe or standard input. Hides how each is opened, paused and ended.

import type { Clock } from '../../shared/clock.ts'
import { FatalError, messageOf } from '../../shared/errors.ts'
import type { Input, Inputs } from './input.ts'
import { readPaced } from './read-paced.ts'
import { type ChunkSink, type Rest, readRest } from './read-rest.ts'
import { pumpStdinStream } from './stdin-stream.ts'

const WATCH_INTERVAL_MS = 5_000

export interface Source {
  readonly kind: 'pipe' | 'stdin'
  /**
   * Reads into the sink until the input ends, or until `stop` and the bytes that it holds by then. From `hurry`
   * on it waits for no writer. Rejects with a FatalError when it cannot go on; the sink has all that was read.
   */
  pump(sink: ChunkSink, stop: AbortSignal, hurry: AbortSignal): Promise<void>
}

export interface Warnings {
  /** The pipe cannot be set aside at a stop. */
  notAside(reason: string): void
  /** At a stop a writer kept the pipe open. */
  writerStays(): void
}

/** Opens `-` (standard input) or the named pipe at `path`, which is made if nothing is there. Throws a FatalError. */
export function openSource(
  path: string,
  readBytes: number,
  { inputs, clock }: { inputs: Inputs; clock: Clock },
  warnings: Warnings,
): Source {
  if (path === '-') {
    const input = inputs.openStdin()
    const pump = input ? pumpPolled.bind(undefined, clock, input) : pumpStdinStream
    return {
      kind: 'stdin',
      pump: (sink, stop, hurry) => guarded(pump(readBytes, sink, stop, hurry), sink),
    }
  }
  const pipe = inputs.openPipe(path)
  if (pipe.obstacle !== undefined) warnings.notAside(pipe.obstacle)
  return {
    kind: 'pipe',
    async pump(sink, stop, hurry) {
      // Falco would write where no process reads.
      const gone = new AbortController()
      using watch = clock.every(WATCH_INTERVAL_MS, () => {
        const why = pipe.whyGone()
        if (why !== undefined) gone.abort(new FatalError(`the pipe ${path} ${why}`))
      })
      const either = AbortSignal.any([stop, gone.signal])
      /** A reader that sees writers, of this pipe. */
      const restOf = (): Rest | undefined => {
        // The pipe that we put in its place is no replacement; one that another process put there is left alone.
        watch[Symbol.dispose]()
        try {
          if (!gone.signal.aborted) return { writers: 'leaving', input: pipe.setAside() }
        } catch (error) {
          if (pipe.obstacle === undefined) warnings.notAside(messageOf(error))
        }
        try {
          return { writers: 'coming', input: pipe.reader() }
        } catch {
          return undefined
        }
      }
      const stays = warnings.writerStays
      await guarded(pumpPolled(clock, pipe, readBytes, sink, either, hurry, restOf, stays), sink)
      if (gone.signal.aborted) throw gone.signal.reason
    },
  }
}

/** Ends the sink however reading ends; an error of the system is no bug. */
async function guarded(pumping: Promise<boolean>, sink: ChunkSink): Promise<void> {
  let isCutOff = false
  try {
    isCutOff = await pumping
  } catch (error) {
    throw error instanceof FatalError ? error : new FatalError(`cannot read: ${messageOf(error)}`)
  } finally {
    sink.end(isCutOff)
  }
}

/**
 * Reads a pipe or socket, then what is left of it at the stop. `restOf` gives another reader of it, which
 * sees writers; `writerStays` is called if one has not left when reading ends. True: more may have come.
 */
async function pumpPolled(
  clock: Clock,
  input: Input,
  readBytes: number,
  sink: ChunkSink,
  stop: AbortSignal,
  hurry: AbortSignal,
  restOf?: () => Rest | undefined,
  writerStays?: () => void,
): Promise<boolean> {
  const buffer = Buffer.allocUnsafeSlow(readBytes)
  try {
    const isPipe = restOf !== undefined
    if (await readPaced(clock, input, buffer, sink, stop, isPipe)) return false
    const rest = restOf?.()
    if (rest === undefined)
      return await readRest(clock, { writers: 'unseen', input }, buffer, sink, hurry)
    try {
      // We can write to it, too: only then is it seen whether others do.
      await input.close()
      const isCutOff = await readRest(clock, rest, buffer, sink, hurry)
      if (isCutOff) writerStays?.()
      return isCutOff
    } finally {
      rest.input.close()
    }
  } finally {
    input.close()
  }
}
