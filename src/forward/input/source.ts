// Where Falco's lines come from: a named pipe or standard input. Hides how each is opened, paused and ended.

import type { Clock } from '../../shared/clock.ts'
import { FatalError, messageOf } from '../../shared/errors.ts'
import type { Input, Inputs } from './input.ts'
import { readPaced } from './read-paced.ts'
import { type ChunkSink, readRest } from './read-rest.ts'
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

/**
 * Opens `-` (standard input) or the named pipe at `path`, which is made if nothing is there. Throws a FatalError.
 * Calls `notAside` with the reason if the pipe cannot be set aside at a stop.
 */
export function openSource(
  path: string,
  readBytes: number,
  { inputs, clock }: { inputs: Inputs; clock: Clock },
  notAside: (reason: string) => void,
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
  if (pipe.obstacle !== undefined) notAside(pipe.obstacle)
  return {
    kind: 'pipe',
    async pump(sink, stop, hurry) {
      // Falco would write where no process reads.
      const gone = new AbortController()
      using watch = clock.every(WATCH_INTERVAL_MS, () => {
        const why = pipe.whyGone()
        if (why !== undefined)
          gone.abort(new FatalError(`the pipe ${path} ${why}; start again to make it anew`))
      })
      const either = AbortSignal.any([stop, gone.signal])
      const setAside = () => {
        // The pipe that we put in its place is no replacement; one that another process put there is left alone.
        watch[Symbol.dispose]()
        if (gone.signal.aborted) return undefined
        try {
          return pipe.setAside()
        } catch (error) {
          if (pipe.obstacle === undefined) notAside(messageOf(error))
          return undefined
        }
      }
      await guarded(pumpPolled(clock, pipe, readBytes, sink, either, hurry, setAside), sink)
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
 * Reads a pipe or socket, then what is left of it at the stop. `setAside` gives the rest of a pipe that
 * was set aside, or undefined where it is not. True: more may have come.
 */
async function pumpPolled(
  clock: Clock,
  input: Input,
  readBytes: number,
  sink: ChunkSink,
  stop: AbortSignal,
  hurry: AbortSignal,
  setAside?: () => Input | undefined,
): Promise<boolean> {
  const buffer = Buffer.allocUnsafeSlow(readBytes)
  try {
    if (await readPaced(clock, input, buffer, sink, stop)) return false
    const aside = setAside?.()
    if (aside === undefined) return await readRest(clock, input, false, buffer, sink, hurry)
    try {
      // We can write to it, too: only then does it end with its last writer.
      await input.close()
      return await readRest(clock, aside, true, buffer, sink, hurry)
    } finally {
      aside.close()
    }
  } finally {
    input.close()
  }
}
