// Standard output and standard error, written to without ever waiting for their readers: what they do not
// take at once stays here, in order, and is tried again by a timer.

import { constants, fstatSync, openSync, writeSync } from 'node:fs'
import { createNotifier } from '../notifier.ts'

export interface Output {
  /** Writes the text, at once or later. False: not all of it is written yet, or it never will be. */
  write(text: string | Uint8Array): boolean
  /** Resolves when all is written, or with what has kept some of it from that. */
  written(): Promise<NodeJS.ErrnoException | undefined>
  /** Tries to write all that waits for at most so long, while nothing else runs. */
  flush(graceMs: number): void
  /** Texts that were dropped so far: too many waited, or writing failed. */
  dropped(): number
  /** Called when all is written again after some were dropped, with their number. */
  onRecovery: (dropped: number) => void
}

/** What may wait for standard error: a log must not fill the memory when nobody reads it. */
const LOG_BYTES_MAX = 256 * 1024
/** Between two tries: first, and at most. */
const RETRY_FIRST_MS = 1
const RETRY_MAX_MS = 100

/** Opened when they are first used, and once: each has one queue. */
export const standardOutput = onFirstUse(() => openOutput(1, Number.POSITIVE_INFINITY))
export const standardError = onFirstUse(() => openOutput(2, LOG_BYTES_MAX))

function onFirstUse<T>(open: () => T): () => T {
  let opened: T | undefined
  return () => {
    opened ??= open()
    return opened
  }
}

/** Where more than `limitBytes` would wait, the oldest texts are dropped, each as a whole. */
function openOutput(fd: 1 | 2, limitBytes: number): Output {
  const target = nonBlocking(fd)
  const queue: Uint8Array[] = []
  const changed = createNotifier()
  let bytes = 0
  /** Whether a part of the oldest is written. */
  let begun = false
  let retry: NodeJS.Timeout | undefined
  let retryMs = RETRY_FIRST_MS
  let failure: NodeJS.ErrnoException | undefined
  let dropped = 0
  let reported = 0

  function writeAll(): void {
    try {
      for (let text = queue[0]; text !== undefined; text = queue[0]) writeSome(text)
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'EAGAIN') retryLater()
      else giveUp(error as NodeJS.ErrnoException)
      return
    }
    changed.notify()
    const unreported = dropped - reported
    reported = dropped
    if (unreported > 0) output.onRecovery(unreported)
  }

  function writeSome(text: Uint8Array): void {
    const length = writeSync(target, text)
    retryMs = RETRY_FIRST_MS
    bytes -= length
    begun = length < text.length
    if (begun) queue[0] = text.subarray(length)
    else queue.shift()
  }

  function retryLater(): void {
    if (retry !== undefined) return
    retry = setTimeout(() => {
      retry = undefined
      writeAll()
    }, retryMs)
    retryMs = Math.min(2 * retryMs, RETRY_MAX_MS)
  }

  function giveUp(error: NodeJS.ErrnoException): void {
    failure = error
    dropped += queue.length
    queue.length = bytes = 0
    begun = false
    changed.notify()
  }

  const output: Output = {
    write(text) {
      const added = typeof text === 'string' ? Buffer.from(text) : text
      queue.push(added)
      bytes += added.length
      if (retry === undefined) writeAll()
      const oldest = begun ? 1 : 0
      while (bytes > limitBytes && queue.length > oldest) {
        bytes -= queue.splice(oldest, 1)[0]!.length
        dropped++
      }
      return queue.length === 0 && failure === undefined
    },
    async written() {
      while (queue.length > 0) await changed.wait()
      return failure
    },
    flush(graceMs) {
      const end = performance.now() + graceMs
      for (writeAll(); queue.length > 0 && performance.now() < end; writeAll())
        Atomics.wait(SLEEP, 0, 0, RETRY_FIRST_MS)
    },
    dropped: () => dropped,
    onRecovery: () => {},
  }
  return output
}

const SLEEP = new Int32Array(new SharedArrayBuffer(4))

/** A descriptor of the same file that takes what it can and never waits. */
function nonBlocking(fd: 1 | 2): number {
  if (fstatSync(fd).isFile()) return fd
  try {
    // Opened anew, since others that have the same description would no longer wait, either.
    const { O_WRONLY, O_NONBLOCK, O_NOCTTY } = constants
    return openSync(`/proc/self/fd/${fd}`, O_WRONLY | O_NONBLOCK | O_NOCTTY)
  } catch {
    // A socket cannot be opened, nor can another user's pipe. Node makes them non-blocking, for all that
    // have them, when its own stream is asked for, and undoes it at the exit.
    void (fd === 1 ? process.stdout : process.stderr)
    return fd
  }
}
