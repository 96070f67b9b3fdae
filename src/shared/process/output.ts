// Standard output and standard error, without waiting for their readers: a timer writes what they do not take at once.

import { constants, fstatSync, openSync, writeSync } from 'node:fs'
import { createNotifier } from '../notifier.ts'

export type Output = ReturnType<typeof openOutput>

/** Bytes that may wait for standard error: a log that is not read must not fill the memory. */
const LOG_BYTES_MAX = 256 * 1024
/** Between two tries: first, and at most. */
const RETRY_FIRST_MS = 1
const RETRY_MAX_MS = 100

/** Opened at their first use, and once: each has one queue. */
const opened: { stdout?: Output; stderr?: Output } = {}
export const standardOutput = () => (opened.stdout ??= openOutput(1, Number.POSITIVE_INFINITY))
export const standardError = () => (opened.stderr ??= openOutput(2, LOG_BYTES_MAX))

/** Where more than `limitBytes` would wait, the oldest texts are dropped, each as a whole. */
function openOutput(fd: 1 | 2, limitBytes: number) {
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
      for (let text = queue[0]; text !== undefined; text = queue[0]) {
        const length = writeSync(target, text)
        retryMs = RETRY_FIRST_MS
        bytes -= length
        begun = length < text.length
        if (begun) queue[0] = text.subarray(length)
        else queue.shift()
      }
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

  function retryLater(): void {
    retry ??= setTimeout(() => {
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

  const output = {
    /** Writes the text, at once or later. False: not all of it is written yet, or it never will be. */
    write(text: string | Uint8Array): boolean {
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
    /** Resolves when all is written, or with the error that ended writing. */
    async written(): Promise<NodeJS.ErrnoException | undefined> {
      while (queue.length > 0) await changed.wait()
      return failure
    },
    /** Tries to write all that waits, for at most `graceMs`, while nothing else runs. */
    flush(graceMs: number): void {
      const end = performance.now() + graceMs
      for (writeAll(); queue.length > 0 && performance.now() < end; writeAll())
        Atomics.wait(SLEEP, 0, 0, RETRY_FIRST_MS)
    },
    /** Texts dropped so far: too many waited, or writing failed. */
    dropped: () => dropped,
    /** Called when all is written again after some were dropped. */
    onRecovery(_dropped: number): void {},
  }
  return output
}

const SLEEP = new Int32Array(new SharedArrayBuffer(4))

/** A descriptor of the same file that takes what it can and never waits. */
function nonBlocking(fd: 1 | 2): number {
  if (fstatSync(fd).isFile()) return fd
  try {
    // Opened anew: O_NONBLOCK on ours would hold for all processes that share the description.
    const { O_WRONLY, O_NONBLOCK, O_NOCTTY } = constants
    return openSync(`/proc/self/fd/${fd}`, O_WRONLY | O_NONBLOCK | O_NOCTTY)
  } catch {
    // A socket cannot be opened, nor can another user's pipe. Node makes them non-blocking, for every process that
    // has them, when its own stream is first used, and undoes it at the exit.
    void (fd === 1 ? process.stdout : process.stderr)
    return fd
  }
}
