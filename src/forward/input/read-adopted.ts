// The alerts of an adopted file: read before those of the pipe, and later what a writer still adds to it.

import type { Clock } from '../../shared/clock.ts'
import type { AdoptedFile } from './input.ts'
import type { ChunkSink } from './read-rest.ts'

/** How long a writer that opened the file before the pipe took its place may take to go on … */
const WRITER_GRACE_MS = 500
/** … or to end its line. */
const LINE_GRACE_MS = 2_000
const LOOK_MS = 10
/** How often the file is looked at while the pipe is read: only a Falco with keep_alive: true still writes to it. */
const LATE_LOOK_MS = 1_000
/** The most that is read in one such look. */
const LATE_BYTES_MAX = 1024 * 1024
const NEWLINE = Buffer.from('\n')

/** Reads the file until it is quiet. False: the stop came before, and the next start reads it anew. */
export async function readAdopted(
  clock: Clock,
  file: AdoptedFile,
  buffer: Buffer,
  sink: ChunkSink,
  stop: AbortSignal,
): Promise<boolean> {
  let quietSince = clock.now()
  while (!stop.aborted) {
    const length = file.read(buffer)
    if (length > 0) {
      if (!sink.write(buffer.subarray(0, length))) await sink.room(stop)
      // Signals and timers are heard meanwhile.
      await clock.afterPoll()
      quietSince = clock.now()
      continue
    }
    const graceMs = sink.isMidLine() ? LINE_GRACE_MS : WRITER_GRACE_MS
    if (clock.now() - quietSince > graceMs) break
    await clock.delay(LOOK_MS)
  }
  // What its writer did not end must not run into the first line of the pipe.
  if (sink.isMidLine()) sink.write(NEWLINE)
  return !stop.aborted
}

/** Reads the lines that are added to the file later. `onLate` is called at the first. Disposed of, it looks once more. */
export function followAdopted(
  clock: Clock,
  file: AdoptedFile,
  buffer: Buffer,
  sink: ChunkSink,
  onLate: () => void,
): Disposable {
  let isLate = false

  /** How many bytes: whole lines, or as much as there is room for of a very long one. */
  function readLines(): number {
    const length = file.read(buffer)
    const lines = buffer.subarray(0, length).lastIndexOf(NEWLINE) + 1
    const wanted = lines === 0 && length === buffer.length ? length : lines
    file.unread(length - wanted)
    return wanted
  }

  function look(): void {
    // The pipe is in the middle of a line.
    if (sink.isMidLine()) return
    for (let owed = LATE_BYTES_MAX; owed > 0; ) {
      const length = readLines()
      if (length === 0) break
      if (!isLate) onLate()
      isLate = true
      owed -= length
      if (!sink.write(buffer.subarray(0, length))) break
    }
    if (sink.isMidLine()) sink.write(NEWLINE)
  }

  const timer = clock.every(LATE_LOOK_MS, look)
  return {
    [Symbol.dispose]() {
      timer[Symbol.dispose]()
      look()
    },
  }
}
