// After a stop: the bytes that are still in the pipe, and the end of the line that a writer has begun.

import type { Clock } from '../../shared/clock.ts'
import { type Input, PIPE_BYTES_MAX, type Reader } from './input.ts'

/** What a source needs of the batcher. */
export interface ChunkSink {
  /** Takes the chunk in any case. False: it is full, and only a stop reads on before `room()`. */
  write(chunk: Buffer): boolean
  /** How many lines it has taken. */
  lines(): number
  /** Whether a line has begun whose newline has not come. */
  isMidLine(): boolean
  /** Resolves when it is no longer full, or at the stop. */
  room(stop: AbortSignal): Promise<void>
  /** `isCutOff`: the writer of the last line may not have finished it. */
  end(isCutOff: boolean): void
}

/**
 * How long a stop waits for a writer that has the pipe open, in each of the two reads: Falco's CPU may be throttled, and a
 * write into a pipe that no process reads ends it (SIGPIPE) …
 */
const WRITERS_MS = 2_000
/** … and how long in a hurry: Falco has the pipe open for less than a millisecond. */
const HURRIED_MS = 100
/** How long a process may take from looking the pipe up to having it open. */
const OPENING_MS = 100
/** How many looks, a millisecond apart, make the pipe quiet or ended: a time may pass in one go. */
const LOOKS_MIN = 10
/** How often a line may have begun behind the last: an endless writer is left at the end of one. */
const LINES_MAX = 10
/** How much of a line is read byte by byte: most are shorter. */
const BYTEWISE_MAX = 4096
const NEWLINE = 0x0a

/**
 * What can be seen of writers. `leaving`: another pipe is in its place, so that no process opens this one. `coming`: it is in
 * its place, and read alone. `unseen`: we could write to it, or it is standard input.
 */
export type Rest =
  | { readonly writers: 'leaving' | 'unseen'; readonly input: Input }
  | { readonly writers: 'coming'; readonly input: Reader }

/**
 * Reads the pipe empty, even into a full sink, since Falco may wait in the middle of a write, and until no writer has
 * it open; then up to the end of the line that is being written. Each of the two reads takes at most a full pipe and a bounded
 * time, since a writer may never pause. True: a writer may write on.
 */
export async function readRest(
  clock: Clock,
  rest: Rest,
  buffer: Buffer,
  sink: Pick<ChunkSink, 'isMidLine'> & { write(chunk: Buffer): unknown },
  hurry: AbortSignal,
): Promise<boolean> {
  const { writers, input } = rest
  const isAside = writers === 'leaving'
  let hasWriter = writers !== 'unseen' || sink.isMidLine()

  let owed = PIPE_BYTES_MAX
  let emptySince: number | undefined

  /** Whether reading can end, now that no process has it open for writing. */
  function canLeave(looks: number, since: number): boolean {
    if (writers === 'coming')
      return rest.input.leave(buffer, (length) => sink.write(buffer.subarray(0, length)))
    // A process may still have looked it up before it was set aside: it would wait for a reader for ever.
    return !isAside || (looks > LOOKS_MIN && (hurry.aborted || clock.now() - since > OPENING_MS))
  }

  /** `next` gives how many bytes it has read: 0 where no process has the pipe open, undefined where it is empty. */
  async function read(next: () => number | undefined, isWanted = () => true) {
    let [looks, ends, quietSince, endedSince] = [0, 0, 0, 0]
    while (owed > 0 && isWanted()) {
      // A writer that never pauses must not keep signals and timers from being heard.
      if (!hurry.aborted) await clock.afterPoll()
      const length = next()
      if (length) {
        sink.write(buffer.subarray(0, length))
        owed -= length
        looks = ends = 0
        hasWriter = true
        continue
      }
      const now = clock.now()
      if (length === undefined) {
        if (looks++ === 0) quietSince = now
        ends = 0
        emptySince ??= now
        const graceMs = hurry.aborted ? HURRIED_MS : WRITERS_MS
        const isQuiet = looks > LOOKS_MIN && now - quietSince > graceMs
        if (!hasWriter || isQuiet) return 'quiet'
        if (now - emptySince > WRITERS_MS) return 'busy'
      } else {
        if (ends++ === 0) endedSince = now
        if (canLeave(ends, endedSince)) return 'ended'
      }
      await clock.delay(1)
    }
    return 'busy'
  }

  const whole = await read(() => input.read(buffer))
  if (whole !== 'busy') return whole === 'quiet'
  owed = PIPE_BYTES_MAX
  emptySince = undefined
  // No other process can read a pipe that was set aside: lines left in it would be lost, and not counted.
  let owedAside = isAside ? PIPE_BYTES_MAX : 0
  function readAside(): boolean {
    const before = owedAside
    while (owedAside > 0) {
      const length = input.read(buffer)
      if (!length) break
      sink.write(buffer.subarray(0, length))
      owedAside -= length
    }
    return owedAside < before
  }
  let line = whole
  // While the end of a line was waited for, others may have come behind it.
  for (let lines = 0; lines < LINES_MAX; lines++) {
    if (!readAside() && !sink.isMidLine()) break
    let sinceNewline = 0
    line = await read(
      () => {
        const length = readTowardsNewline(input, buffer, sinceNewline)
        const hasNewline = buffer.subarray(0, length ?? 0).includes(NEWLINE)
        sinceNewline = hasNewline ? 0 : sinceNewline + (length ?? 0)
        return length
      },
      () => sink.isMidLine(),
    )
    if (sink.isMidLine()) break
  }
  return line !== 'ended'
}

/** Byte by byte, to take nothing of the next line; of a very long line, as much again as has come of it. */
function readTowardsNewline(
  input: Input,
  buffer: Buffer,
  sinceNewline: number,
): number | undefined {
  if (sinceNewline >= BYTEWISE_MAX) return input.read(buffer.subarray(0, sinceNewline))
  const bytes = Math.min(buffer.length, BYTEWISE_MAX)
  for (let at = 0; at < bytes; at++) {
    const length = input.read(buffer.subarray(at, at + 1))
    if (!length) return at || length
    if (buffer[at] === NEWLINE) return at + 1
  }
  return bytes
}
