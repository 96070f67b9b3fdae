// The alerts of an adopted file: read before those of the pipe, and later what a writer still adds to it.

import type { Clock } from '../../shared/clock.ts'
import type { AdoptedFile } from './input.ts'
import type { ChunkSink } from './read-rest.ts'

/** How long a writer that opened the file before the pipe took its place may take to go on … */
const WRITER_GRACE_MS = 500
/** … or to end its line … */
const LINE_GRACE_MS = 2_000
/** … and how long the pipe waits for one that never pauses. */
const WRITERS_MAX_MS = 5_000
const LOOK_MS = 10
/** How often the file is looked at while the pipe is read: only a Falco with keep_alive: true still writes to it. */
const LATE_LOOK_MS = 1_000
/** The most that is read behind the pipe at the end. */
const REST_BYTES_MAX = 4 * 1024 * 1024
/** A line that is longer is over every --max-line-bytes. */
const LINE_BYTES_MAX = 9 * 1024 * 1024
const NEWLINE = Buffer.from('\n')

export interface AdoptedReader {
  /**
   * Reads until the file is quiet, or a writer goes on for long. False: the stop came before the end of the file was met,
   * and the next start reads it anew.
   */
  first(stop: AbortSignal): Promise<boolean>
  /** Reads what is added later, until the signal. `onLate` is called at each. */
  follow(stop: AbortSignal, onLate: () => void): Promise<void>
  /** Reads what is left behind the pipe, up to a bound. `onLate` is called at each. */
  rest(onLate: () => void): Promise<void>
}

/** All reading throws the errors of the file, and leaves the sink at the end of a line. */
export function createAdoptedReader(
  clock: Clock,
  file: AdoptedFile,
  buffer: Buffer,
  sink: Pick<ChunkSink, 'write' | 'room' | 'isMidLine'>,
): AdoptedReader {
  /** In the rest of a line that is too long. */
  let isSkipping = false

  /** Takes about a buffer of whole lines, since the pipe may write to the sink next: how many bytes, 0 where no line has ended. */
  function takeLines(): number {
    const length = file.read(buffer)
    const chunk = buffer.subarray(0, length)
    if (isSkipping) {
      const end = chunk.indexOf(NEWLINE) + 1
      isSkipping = end === 0
      if (isSkipping) return length
      file.unread(length - end)
      return end
    }
    const lines = chunk.lastIndexOf(NEWLINE) + 1
    if (lines === 0 && length === buffer.length) return takeLongLine()
    file.unread(length - lines)
    if (lines > 0) sink.write(chunk.subarray(0, lines))
    return lines
  }

  /** A buffer without a newline has been read. */
  function takeLongLine(): number {
    let ahead = buffer.length
    let length: number | undefined
    while (length === undefined && ahead < LINE_BYTES_MAX) {
      const more = file.read(buffer)
      const end = buffer.subarray(0, more).indexOf(NEWLINE) + 1
      if (end > 0) length = ahead + end
      ahead += more
      if (end === 0 && more < buffer.length) {
        file.unread(ahead)
        return 0
      }
    }
    file.unread(ahead)
    isSkipping = length === undefined
    takeLine(length ?? ahead)
    return length ?? ahead
  }

  /** What its writer did not end must not run into the first line of the pipe. */
  function takeLine(bytes: number): void {
    try {
      for (let owed = bytes; owed > 0; ) {
        const length = file.read(buffer.subarray(0, owed))
        if (length === 0) return
        sink.write(buffer.subarray(0, length))
        owed -= length
      }
    } finally {
      if (sink.isMidLine()) sink.write(NEWLINE)
    }
  }

  return {
    async first(stop) {
      let quietSince = clock.now()
      let endedSince: number | undefined
      while (!stop.aborted) {
        const now = clock.now()
        if (endedSince !== undefined && now - endedSince > WRITERS_MAX_MS) return true
        if (takeLines() > 0) {
          quietSince = now
          // Signals and timers are heard meanwhile.
          await clock.afterPoll()
          await sink.room(stop)
          continue
        }
        endedSince ??= now
        const left = file.left()
        if (now - quietSince > (left > 0 ? LINE_GRACE_MS : WRITER_GRACE_MS)) {
          takeLine(left)
          return true
        }
        await clock.delay(LOOK_MS)
      }
      return endedSince !== undefined
    },
    async follow(stop, onLate) {
      while (!stop.aborted) {
        // The pipe may be in the middle of a line.
        if (!sink.isMidLine() && takeLines() > 0) {
          onLate()
          await clock.afterPoll()
          await sink.room(stop)
        } else await clock.delay(LATE_LOOK_MS, stop).catch(() => {})
      }
    },
    async rest(onLate) {
      for (let owed = REST_BYTES_MAX; owed > 0 && !sink.isMidLine(); ) {
        const length = takeLines()
        if (length === 0) return
        onLate()
        owed -= length
        await clock.afterPoll()
      }
    },
  }
}
